#version 450
// As sample.comp, of a picture of luma and chroma: of such, texels cannot be fetched.
layout(local_size_x = 1, local_size_y = 1) in;
layout(binding = 0) uniform sampler2D picture;
layout(binding = 1, std430) writeonly buffer Colours {
	vec4 colours[];
};
void main() {
	uvec2 at = gl_GlobalInvocationID.xy, extent = gl_NumWorkGroups.xy;
	colours[at.y * extent.x + at.x] = textureLod(picture, (vec2(at) + 0.5) / vec2(extent), 0.0);
}
