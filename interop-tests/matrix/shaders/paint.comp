#version 450
// As paint.frag. The picture may be of any format that can be stored to.
const int width = 16;
layout(local_size_x = 1, local_size_y = 1) in;
layout(binding = 0, std430) readonly buffer Colours {
	vec4 colours[];
};
layout(binding = 1) uniform writeonly image2D picture;
void main() {
	ivec2 at = ivec2(gl_GlobalInvocationID.xy);
	imageStore(picture, at, colours[at.y * width + at.x]);
}
