#version 450
// One triangle that covers everything; no vertex buffer.
void main() {
	vec2 corner = vec2(gl_VertexIndex & 1, gl_VertexIndex >> 1) * 4.0 - 1.0;
	gl_Position = vec4(corner, 0.0, 1.0);
}
