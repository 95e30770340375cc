/* SPDX-License-Identifier: MIT */
#include "demos/window.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define GLFW_INCLUDE_ES3
#include <GLFW/glfw3.h>

static void tell(int error, const char *why) {
	(void)error;
	fprintf(stderr, "no window: %s\n", why);
}

static void close_window(GLFWwindow *window, int key, int scancode, int action, int mods) {
	(void)key;
	(void)scancode;
	(void)action;
	(void)mods;
	glfwSetWindowShouldClose(window, GLFW_TRUE);
}

/* As the colour of a framebuffer that is read from. */
static void load(const struct picture *picture) {
	GLuint texture, framebuffer;
	glGenTextures(1, &texture);
	glBindTexture(GL_TEXTURE_2D, texture);
	glTexStorage2D(GL_TEXTURE_2D, 1, GL_RGBA8, (int)picture->width, (int)picture->height);
	glTexSubImage2D(GL_TEXTURE_2D, 0, 0, 0, (int)picture->width, (int)picture->height, GL_RGBA,
		GL_UNSIGNED_BYTE, picture->pixels);
	glGenFramebuffers(1, &framebuffer);
	glBindFramebuffer(GL_READ_FRAMEBUFFER, framebuffer);
	glFramebufferTexture2D(
		GL_READ_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, texture, 0);
}

/* The picture begins above, OpenGL's windows below. */
static void draw(GLFWwindow *window, const struct picture *picture) {
	int width, height;
	glfwGetFramebufferSize(window, &width, &height);
	glBlitFramebuffer(0, 0, (int)picture->width, (int)picture->height, 0, height, width, 0,
		GL_COLOR_BUFFER_BIT, GL_NEAREST);
	/* The window has no holes, whatever the picture's alpha is. */
	glColorMask(GL_FALSE, GL_FALSE, GL_FALSE, GL_TRUE);
	glClear(GL_COLOR_BUFFER_BIT);
	glColorMask(GL_TRUE, GL_TRUE, GL_TRUE, GL_TRUE);
	glfwSwapBuffers(window);
}

static void show(GLFWwindow *window, const struct picture *picture) {
	glfwMakeContextCurrent(window);
	glfwSetKeyCallback(window, close_window);
	load(picture);
	glClearColor(0, 0, 0, 1);
	draw(window, picture);
	printf("In a window: any key closes it\n");
	fflush(stdout);
	while (!glfwWindowShouldClose(window)) {
		glfwWaitEvents();
		draw(window, picture);
	}
	glfwDestroyWindow(window);
}

void window_show(const char *title, const struct picture *picture) {
	if (getenv("WAYLAND_DISPLAY") == NULL && getenv("DISPLAY") == NULL) {
		return;
	}
	glfwSetErrorCallback(tell);
	if (!glfwInit()) {
		return;
	}
	glfwWindowHint(GLFW_CLIENT_API, GLFW_OPENGL_ES_API);
	glfwWindowHint(GLFW_CONTEXT_VERSION_MAJOR, 3);
	glfwWindowHint(GLFW_CONTEXT_CREATION_API, GLFW_EGL_CONTEXT_API);
	GLFWwindow *window =
		glfwCreateWindow((int)picture->width, (int)picture->height, title, NULL, NULL);
	if (window != NULL) {
		show(window, picture);
	}
	glfwTerminate();
}
