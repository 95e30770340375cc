#version 450
// A picture of a card's extent (interop-tests/interop/card.h) from floats, row after row.
const int width = 16;
layout(binding = 0, std430) readonly buffer Colours {
	vec4 colours[];
};
layout(location = 0) out vec4 color;
void main() {
	color = colours[int(gl_FragCoord.y) * width + int(gl_FragCoord.x)];
}
