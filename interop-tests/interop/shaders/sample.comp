#version 450
// Each pixel of a picture as floats, row after row.
layout(local_size_x = 1, local_size_y = 1) in;
layout(binding = 0) uniform sampler2D picture;
layout(binding = 1, std430) writeonly buffer Colours {
	vec4 colours[];
};
void main() {
	ivec2 at = ivec2(gl_GlobalInvocationID.xy);
	colours[at.y * textureSize(picture, 0).x + at.x] = texelFetch(picture, at, 0);
}
