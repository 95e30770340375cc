#version 450
// struct transform of transform.h: each pixel from its mirror image, through a colour matrix.
layout(push_constant) uniform Transform {
	vec4 rows[3];
	ivec2 flip;
};
layout(set = 0, binding = 0) uniform sampler2D picture;
layout(location = 0) out vec4 color;

void main() {
	ivec2 at = ivec2(gl_FragCoord.xy);
	ivec2 last = textureSize(picture, 0) - 1;
	at = ivec2(flip.x != 0 ? last.x - at.x : at.x, flip.y != 0 ? last.y - at.y : at.y);
	vec4 from = texelFetch(picture, at, 0);
	vec4 with_one = vec4(from.rgb, 1.0);
	color = vec4(dot(rows[0], with_one), dot(rows[1], with_one), dot(rows[2], with_one), from.a);
}
