#version 450
// As sample.comp, of luma and chroma in pictures of their own: rows make colours of their samples. The nearest sample of
// chroma, sited in the middle. The third picture's red is the second sample of chroma.
layout(local_size_x = 1, local_size_y = 1) in;
layout(binding = 0) uniform sampler2D pictures[3];
layout(binding = 1, std430) buffer Colours {
	vec4 rows[3];
	vec4 colours[];
};
void main() {
	ivec2 at = ivec2(gl_GlobalInvocationID.xy), extent = textureSize(pictures[0], 0);
	ivec2 chroma = at * textureSize(pictures[1], 0) / extent;
	vec4 samples = vec4(texelFetch(pictures[0], at, 0).r, texelFetch(pictures[1], chroma, 0).r,
		texelFetch(pictures[2], chroma, 0).r, 1.0);
	colours[at.y * extent.x + at.x] =
		vec4(dot(rows[0], samples), dot(rows[1], samples), dot(rows[2], samples), 1.0);
}
