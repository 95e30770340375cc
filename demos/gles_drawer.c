/* SPDX-License-Identifier: MIT */
#include "demos/gles_drawer.h"

#include <EGL/eglext.h>
#include <GLES2/gl2ext.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int fail(const char *what) {
	fprintf(stderr, "EGL: %s (EGL error 0x%x)\n", what, (unsigned)eglGetError());
	return -EIO;
}

/* ---- Display and context ------------------------------------------------------------------ */

/*
 * The images are the software GPU's, in plain memory: the EGL device that draws on the CPU takes
 * it, whatever other devices the machine has.
 */
EGLDisplay gles_display_find_software(void) {
	PFNEGLQUERYDEVICESEXTPROC query_devices =
		(PFNEGLQUERYDEVICESEXTPROC)eglGetProcAddress("eglQueryDevicesEXT");
	PFNEGLQUERYDEVICESTRINGEXTPROC query_string =
		(PFNEGLQUERYDEVICESTRINGEXTPROC)eglGetProcAddress("eglQueryDeviceStringEXT");
	EGLDeviceEXT devices[16];
	EGLint n = 0;
	if (query_devices == NULL || query_string == NULL || !query_devices(16, devices, &n)) {
		return EGL_NO_DISPLAY;
	}
	for (EGLint i = 0; i < n; i++) {
		const char *extensions = query_string(devices[i], EGL_EXTENSIONS);
		if (extensions != NULL && strstr(extensions, "EGL_MESA_device_software") != NULL) {
			return eglGetPlatformDisplay(EGL_PLATFORM_DEVICE_EXT, devices[i], NULL);
		}
	}
	return EGL_NO_DISPLAY;
}

static int create_context(struct gles_drawer *drawer) {
	const EGLint config_attributes[] = { EGL_RENDERABLE_TYPE, EGL_OPENGL_ES3_BIT,
		EGL_SURFACE_TYPE, 0, EGL_NONE };
	const EGLint context_attributes[] = { EGL_CONTEXT_MAJOR_VERSION, 3, EGL_NONE };
	EGLConfig config;
	EGLint n = 0;
	if (!eglBindAPI(EGL_OPENGL_ES_API) ||
		!eglChooseConfig(drawer->display, config_attributes, &config, 1, &n) || n == 0) {
		return fail("no configuration for GLES 3");
	}
	drawer->context =
		eglCreateContext(drawer->display, config, EGL_NO_CONTEXT, context_attributes);
	if (drawer->context == EGL_NO_CONTEXT) {
		return fail("eglCreateContext");
	}
	if (!eglMakeCurrent(drawer->display, EGL_NO_SURFACE, EGL_NO_SURFACE, drawer->context)) {
		return fail("eglMakeCurrent");
	}
	return 0;
}

static int setup_display(struct gles_drawer *drawer, EGLDisplay display) {
	drawer->display = display;
	if (drawer->display == EGL_NO_DISPLAY) {
		return fail(
			"no display, or no device that draws on the CPU; Mesa's llvmpipe is one");
	}
	if (!eglInitialize(drawer->display, NULL, NULL)) {
		drawer->display = EGL_NO_DISPLAY;
		return fail("eglInitialize");
	}
	int ret = create_context(drawer);
	if (ret < 0) {
		return ret;
	}
	drawer->refusal.size = sizeof(drawer->refusal);
	struct stile_egl_info info = {
		.size = sizeof(info),
		.get_proc_address = eglGetProcAddress,
		.display = drawer->display,
	};
	return stile_egl_create(&info, &drawer->refusal, &drawer->stile);
}

/* ---- Program ------------------------------------------------------------------------------ */

const char gles_fullscreen_vertex[] =
	"#version 300 es\n"
	"void main() {\n"
	"	vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0;\n"
	"	gl_Position = vec4(corner, 0.0, 1.0);\n"
	"}\n";

/* As transform.frag. */
static const char fragment_source[] =
	"#version 300 es\n"
	"precision highp float;\n"
	"uniform vec4 rows[3];\n"
	"uniform ivec2 flip;\n"
	"uniform sampler2D picture;\n"
	"out vec4 color;\n"
	"void main() {\n"
	"	ivec2 at = ivec2(gl_FragCoord.xy);\n"
	"	ivec2 last = textureSize(picture, 0) - 1;\n"
	"	at = ivec2(flip.x != 0 ? last.x - at.x : at.x, flip.y != 0 ? last.y - at.y : at.y);\n"
	"	vec4 from = texelFetch(picture, at, 0);\n"
	"	vec4 one = vec4(from.rgb, 1.0);\n"
	"	color = vec4(dot(rows[0], one), dot(rows[1], one), dot(rows[2], one), from.a);\n"
	"}\n";

static GLuint compile(GLenum type, const char *source) {
	GLuint shader = glCreateShader(type);
	GLint ok = 0;
	glShaderSource(shader, 1, &source, NULL);
	glCompileShader(shader);
	glGetShaderiv(shader, GL_COMPILE_STATUS, &ok);
	if (!ok) {
		char text[512];
		glGetShaderInfoLog(shader, sizeof(text), NULL, text);
		fprintf(stderr, "GLES: shader: %s\n", text);
	}
	return shader;
}

GLuint gles_program_create(const char *vertex_text, const char *fragment_text) {
	GLuint vertex = compile(GL_VERTEX_SHADER, vertex_text);
	GLuint fragment = compile(GL_FRAGMENT_SHADER, fragment_text);
	GLint ok = 0;
	GLuint program = glCreateProgram();
	glAttachShader(program, vertex);
	glAttachShader(program, fragment);
	glLinkProgram(program);
	glDeleteShader(vertex);
	glDeleteShader(fragment);
	glGetProgramiv(program, GL_LINK_STATUS, &ok);
	if (!ok) {
		glDeleteProgram(program);
		return 0;
	}
	return program;
}

static int setup_program(struct gles_drawer *drawer) {
	drawer->program = gles_program_create(gles_fullscreen_vertex, fragment_source);
	if (drawer->program == 0) {
		return fail("the program does not link");
	}
	drawer->rows = glGetUniformLocation(drawer->program, "rows");
	drawer->flip = glGetUniformLocation(drawer->program, "flip");
	return 0;
}

int gles_drawer_init_on(struct gles_drawer *drawer, EGLDisplay display) {
	memset(drawer, 0, sizeof(*drawer));
	int ret = setup_display(drawer, display);
	return ret < 0 ? ret : setup_program(drawer);
}

int gles_drawer_init(struct gles_drawer *drawer) {
	return gles_drawer_init_on(drawer, gles_display_find_software());
}

int gles_drawer_init_surfaceless(struct gles_drawer *drawer) {
	return gles_drawer_init_on(drawer,
		eglGetPlatformDisplay(EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY, NULL));
}

/* ---- Images ------------------------------------------------------------------------------- */

static void target_finish(struct gles_target *target) {
	glDeleteFramebuffers(1, &target->framebuffer);
	glDeleteTextures(1, &target->texture);
	stile_egl_image_destroy(target->image);
	*target = (struct gles_target){ 0 };
}

void gles_drawer_finish(struct gles_drawer *drawer) {
	if (drawer->display == EGL_NO_DISPLAY) {
		return;
	}
	if (drawer->context != EGL_NO_CONTEXT) {
		target_finish(&drawer->from);
		target_finish(&drawer->to);
		glDeleteProgram(drawer->program);
	}
	stile_egl_destroy(drawer->stile);
	eglMakeCurrent(drawer->display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
	eglDestroyContext(drawer->display, drawer->context);
	eglTerminate(drawer->display);
	eglReleaseThread();
}

static int target_init(
	struct gles_drawer *drawer, struct gles_target *target, struct stile_image *image) {
	PFNGLEGLIMAGETARGETTEXTURE2DOESPROC image_target_texture =
		(PFNGLEGLIMAGETARGETTEXTURE2DOESPROC)eglGetProcAddress(
			"glEGLImageTargetTexture2DOES");
	target_finish(target);
	int ret = stile_egl_import_image(drawer->stile, image, &drawer->refusal, &target->image);
	if (ret < 0) {
		/* Such an image must not be drawn with: some drivers crash then. */
		return ret;
	}
	glGenTextures(1, &target->texture);
	glBindTexture(GL_TEXTURE_2D, target->texture);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
	image_target_texture(GL_TEXTURE_2D, stile_egl_image_get_handle(target->image));
	glGenFramebuffers(1, &target->framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, target->framebuffer);
	glFramebufferTexture2D(
		GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, target->texture, 0);
	if (glCheckFramebufferStatus(GL_FRAMEBUFFER) != GL_FRAMEBUFFER_COMPLETE ||
		glGetError() != GL_NO_ERROR) {
		return fail("the image cannot be drawn into");
	}
	return 0;
}

int gles_drawer_set_images(
	struct gles_drawer *drawer, struct stile_image *from, struct stile_image *to) {
	int ret = target_init(drawer, &drawer->from, from);
	if (ret == 0) {
		ret = target_init(drawer, &drawer->to, to);
	}
	const struct stile_image_info *info = stile_image_get_info(to);
	drawer->width = (GLsizei)info->width;
	drawer->height = (GLsizei)info->height;
	return ret;
}

/* ---- Drawing ------------------------------------------------------------------------------ */

int gles_drawer_draw(
	struct gles_drawer *drawer, const struct transform *transform, struct stile_fence **done) {
	*done = NULL;
	glBindFramebuffer(GL_FRAMEBUFFER, drawer->to.framebuffer);
	glViewport(0, 0, drawer->width, drawer->height);
	glUseProgram(drawer->program);
	glUniform4fv(drawer->rows, 3, &transform->rows[0][0]);
	glUniform2i(drawer->flip, transform->flip[0], transform->flip[1]);
	glBindTexture(GL_TEXTURE_2D, drawer->from.texture);
	glDrawArrays(GL_TRIANGLES, 0, 3);
	if (glGetError() != GL_NO_ERROR) {
		return fail("drawing failed");
	}
	return stile_egl_fence_create(drawer->stile, done);
}

int gles_drawer_read_pixel(
	struct gles_drawer *drawer, const struct gles_target *target, uint8_t rgba[4]) {
	(void)drawer;
	glBindFramebuffer(GL_FRAMEBUFFER, target->framebuffer);
	glReadPixels(0, 0, 1, 1, GL_RGBA, GL_UNSIGNED_BYTE, rgba);
	return glGetError() == GL_NO_ERROR ? 0 : fail("glReadPixels");
}
