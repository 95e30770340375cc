/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/fake_egl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <drm_fourcc.h>

#include "interop-tests/support/fake_egl_display.h"
#include "interop-tests/support/fake_sync_file.h"
#include "interop-tests/support/runner.h"

struct sync {
	struct fake_payload *payload; /* 1: it is over; NULL: it is `fd` */
	int fd;
	EGLenum type;
	bool flushed;
};

static const int64_t forever = INT64_MAX;

/* All below is under the fakes' lock. */
struct fake_egl_state fake_egl;
static struct fake_payload *hold;
static bool lost;
static struct sync *unflushed; /* the last one */
static _Thread_local EGLint last_error = EGL_SUCCESS;
static _Thread_local bool is_current;
static _Thread_local bool has_others; /* a context of another display is */

static const EGLDisplay display = (EGLDisplay)&fake_egl.traits;
static const EGLContext context = (EGLContext)&fake_egl.queue;

static struct sync *sync_of(EGLSync sync) {
	return sync;
}

/* Takes the lock. Does the call fail? */
static bool enter(const char *call) {
	int code = EGL_SUCCESS;
	fake_gpu_lock();
	bool fails = fake_gpu_fails(call, &code);
	lost = lost || code == EGL_CONTEXT_LOST;
	if (lost && !fails) {
		fails = true;
		code = EGL_CONTEXT_LOST;
	}
	last_error = fails ? code : last_error;
	return fails;
}

static EGLint tell_error(void) {
	EGLint error = last_error;
	last_error = EGL_SUCCESS;
	return error;
}

static EGLContext get_context(void) {
	return is_current || has_others ? context : EGL_NO_CONTEXT;
}

static EGLDisplay get_display(void) {
	return is_current ? display : has_others ? (EGLDisplay)&has_others : EGL_NO_DISPLAY;
}

static const char *get_extensions(void) {
	if (fake_egl.traits.extensions != NULL) {
		return fake_egl.traits.extensions;
	}
	return fake_egl.traits.native_fences
		? "EGL_EXT_image_dma_buf_import EGL_ANDROID_native_fence_sync "
		  "EGL_EXT_image_dma_buf_import_modifiers"
		: "EGL_EXT_image_dma_buf_import "
		  "EGL_EXT_image_dma_buf_import_modifiers";
}

static const char *query(EGLDisplay of, EGLint name) {
	if (of == EGL_NO_DISPLAY) {
		return fake_egl.traits.device == NULL ? NULL : fake_egl.traits.device->client;
	}
	return name == EGL_VERSION
		? (fake_egl.traits.version != NULL ? fake_egl.traits.version : "1.5 fake")
		: name == EGL_VENDOR ? fake_egl.traits.vendor
				     : get_extensions();
}

static const char *get_driver_name(EGLDisplay of) {
	(void)of;
	if (strstr(get_extensions(), "EGL_MESA_query_driver") == NULL) {
		fake_gpu_complain("eglGetDisplayDriverName without EGL_MESA_query_driver");
	}
	return fake_egl.traits.driver;
}

/* ---- The device behind it -------------------------------------------------------------------- */

static void check_device(const char *call) {
	const char *client = fake_egl.traits.device == NULL ? NULL : fake_egl.traits.device->client;
	if (client == NULL ||
		(strcmp(client, "EGL_EXT_device_base") != 0 &&
			strcmp(client, "EGL_EXT_device_query") != 0)) {
		fake_gpu_complain("%s without EGL_EXT_device_query", call);
	}
}

static EGLBoolean query_display(EGLDisplay of, EGLint name, EGLAttrib *value) {
	(void)of;
	check_device("eglQueryDisplayAttribEXT");
	if (name == EGL_DEVICE_EXT) {
		*value = fake_egl.traits.device->unknown ? 0 : (EGLAttrib)fake_egl.traits.device;
	}
	return name == EGL_DEVICE_EXT;
}

static const char *query_device(EGLDeviceEXT of, EGLint name) {
	const struct fake_egl_device *device = of;
	check_device("eglQueryDeviceStringEXT");
	if (device == NULL) {
		fake_gpu_complain("eglQueryDeviceStringEXT of no device");
		return NULL;
	}
	if (name == EGL_EXTENSIONS) {
		return device->extensions;
	}
	bool is_render = name == EGL_DRM_RENDER_NODE_FILE_EXT;
	const char *needed = is_render ? "EGL_EXT_device_drm_render_node" : "EGL_EXT_device_drm";
	const char *at = strstr(device->extensions, needed);
	while (at != NULL && at[strlen(needed)] != ' ' && at[strlen(needed)] != '\0') {
		at = strstr(at + 1, needed);
	}
	if (at == NULL) {
		fake_gpu_complain("eglQueryDeviceStringEXT of 0x%x without %s", name, needed);
	}
	return is_render ? device->render : device->primary;
}

/* ---- Syncs ----------------------------------------------------------------------------------- */

/* The lock is held. Of what was given up to here, or of a descriptor. */
static struct sync *sync_create(EGLenum type, int fd) {
	struct sync *sync = malloc(sizeof(*sync));
	struct fake_payload *payload = fd < 0 ? fake_payload_create() : NULL;
	if (sync == NULL || (fd < 0 && payload == NULL)) {
		free(sync);
		free(payload);
		last_error = EGL_BAD_ALLOC;
		return NULL;
	}
	*sync = (struct sync){ .payload = payload, .fd = fd, .type = type, .flushed = fd >= 0 };
	if (payload != NULL) {
		struct fake_batch batch = {
			.signals = { { .payload = payload, .value = 1 } },
			.signal_count = 1,
		};
		fake_queue_submit(fake_egl.queue, &batch);
		unflushed = sync;
	}
	fake_gpu_count(1);
	return sync;
}

static bool sync_is_over(const struct sync *sync) {
	return sync->payload != NULL ? sync->payload->value == 1 : fake_fd_is_over(sync->fd);
}

void fake_egl_check_current(const char *call) {
	if (!is_current) {
		fake_gpu_complain("%s without a current context", call);
	}
}

static EGLSync create_sync(EGLDisplay of, EGLenum type, const EGLAttrib *attributes) {
	(void)of;
	(void)attributes;
	fake_egl_check_current("eglCreateSync");
	struct sync *sync = enter("eglCreateSync") ? NULL : sync_create(type, -1);
	fake_gpu_unlock();
	return sync;
}

static EGLSyncKHR create_sync_khr(EGLDisplay of, EGLenum type, const EGLint *attributes) {
	(void)of;
	int fd = attributes == NULL ? -1 : attributes[1];
	fake_egl_check_current("eglCreateSyncKHR");
	struct sync *sync = enter("eglCreateSyncKHR") ? NULL : sync_create(type, fd);
	fake_gpu_unlock();
	return sync;
}

static EGLBoolean destroy_sync(EGLDisplay of, EGLSync handle) {
	(void)of;
	struct sync *sync = sync_of(handle);
	fake_gpu_lock();
	unflushed = unflushed == sync ? NULL : unflushed;
	if (sync->payload != NULL) {
		fake_payload_unref(sync->payload);
	} else {
		close(sync->fd);
	}
	free(sync);
	fake_gpu_count(-1);
	fake_gpu_unlock();
	return EGL_TRUE;
}

static EGLBoolean get_attrib(EGLDisplay of, EGLSync sync, EGLint name, EGLAttrib *value) {
	(void)of;
	bool fails = enter("eglGetSyncAttrib");
	if (!fails && name == EGL_SYNC_TYPE) {
		*value = (EGLAttrib)sync_of(sync)->type;
	}
	fake_gpu_unlock();
	return !fails;
}

static EGLint client_wait(EGLDisplay of, EGLSync handle, EGLint flags, EGLTime timeout_ns) {
	(void)of;
	(void)flags;
	const struct sync *sync = sync_of(handle);
	int64_t deadline_ns = runner_clock_ns() + (int64_t)timeout_ns;
	if (enter("eglClientWaitSync")) {
		fake_gpu_unlock();
		return EGL_FALSE;
	}
	if (timeout_ns > 0 && !sync->flushed) {
		fake_gpu_complain("a wait for what was not flushed");
	}
	while (!sync_is_over(sync) && fake_gpu_sleep(deadline_ns)) {
	}
	bool over = sync_is_over(sync);
	fake_gpu_unlock();
	return over ? EGL_CONDITION_SATISFIED : EGL_TIMEOUT_EXPIRED;
}

static EGLBoolean server_wait(EGLDisplay of, EGLSync handle, EGLint flags) {
	(void)of;
	(void)flags;
	const struct sync *sync = sync_of(handle);
	fake_egl_check_current("eglWaitSync");
	if (enter("eglWaitSync")) {
		fake_gpu_unlock();
		return EGL_FALSE;
	}
	while (fake_egl.traits.waits_block && !sync_is_over(sync)) {
		fake_gpu_set_blocked(true);
		fake_gpu_sleep(forever);
	}
	fake_gpu_set_blocked(false);
	struct fake_batch batch = { .wait_count = 1 };
	batch.waits[0] = sync->payload != NULL
		? (struct fake_op){ .payload = sync->payload, .value = 1 }
		: (struct fake_op){ .fd = fcntl(sync->fd, F_DUPFD_CLOEXEC, 0) };
	fake_queue_submit(fake_egl.queue, &batch);
	fake_gpu_unlock();
	return EGL_TRUE;
}

static EGLint dup_native(EGLDisplay of, EGLSync handle) {
	(void)of;
	const struct sync *sync = sync_of(handle);
	int fd = -1;
	bool fails = enter("eglDupNativeFenceFDANDROID");
	while (!fails && fake_egl.traits.dups_block && !sync_is_over(sync)) {
		fake_gpu_set_blocked(true);
		fake_gpu_sleep(forever);
	}
	fake_gpu_set_blocked(false);
	if (!fails && (sync->type != EGL_SYNC_NATIVE_FENCE_ANDROID || !sync->flushed)) {
		last_error = EGL_BAD_PARAMETER;
	} else if (!fails && sync->payload == NULL) {
		fd = fcntl(sync->fd, F_DUPFD_CLOEXEC, 0);
	} else if (!fails) {
		bool over = sync_is_over(sync);
		fd = over ? -1 : fake_payload_get_sync_file(sync->payload, 1);
		if (over || fake_egl.traits.native_lies) {
			int lie = fake_sync_file_create(1);
			fake_sync_file_signal(fake_sync_file_first_leaf(lie), 1, 1);
			if (fd >= 0) {
				close(fd);
			}
			fd = lie;
		}
	}
	fake_gpu_unlock();
	return fd;
}

static void flush(void) {
	fake_gpu_lock();
	if (unflushed != NULL) {
		unflushed->flushed = true;
	}
	fake_egl.is_signal_unflushed = false;
	fake_gpu_unlock();
}

/* ---- Images ---------------------------------------------------------------------------------- */

/* As memory that the display has already: what it finds none for, it says of whatever it cannot take. */
enum { IMAGES = 128 };
static struct fake_egl_seen images[IMAGES]; /* of no planes: there is none */

static EGLBoolean list_formats(EGLDisplay of, EGLint room, EGLint *formats, EGLint *count) {
	EGLint n = 0;
	uint32_t last = 0;
	(void)of;
	if (enter("eglQueryDmaBufFormatsEXT")) {
		fake_gpu_unlock();
		return EGL_FALSE;
	}
	for (const struct fake_egl_layout *at = fake_egl.traits.layouts;
		at != NULL && at->fourcc != 0; at++) {
		if (at->fourcc != last && n < room) {
			formats[n] = (EGLint)at->fourcc;
		}
		n += at->fourcc != last && (room == 0 || n < room);
		last = at->fourcc;
	}
	*count = n;
	fake_gpu_unlock();
	return EGL_TRUE;
}

static EGLBoolean list_modifiers(EGLDisplay of, EGLint fourcc, EGLint room, EGLuint64KHR *modifiers,
	EGLBoolean *external_only, EGLint *count) {
	EGLint n = 0;
	(void)of;
	if (enter("eglQueryDmaBufModifiersEXT")) {
		fake_gpu_unlock();
		return EGL_FALSE;
	}
	for (const struct fake_egl_layout *at = fake_egl.traits.layouts;
		at != NULL && at->fourcc != 0; at++) {
		if (at->fourcc != (uint32_t)fourcc || at->modifier == DRM_FORMAT_MOD_INVALID) {
			continue;
		}
		if (n < room) {
			modifiers[n] = at->modifier;
			external_only[n] = at->external_only;
		}
		n += room == 0 || n < room;
	}
	if (fake_egl.traits.lists_invalid && n < room) {
		modifiers[n] = DRM_FORMAT_MOD_INVALID;
		external_only[n] = EGL_FALSE;
	}
	n += fake_egl.traits.lists_invalid && (room == 0 || n < room);
	*count = n + (room == 0 && n > 0 && fake_egl.traits.overcounts);
	fake_gpu_unlock();
	return EGL_TRUE;
}

static EGLAttrib find_attribute(const EGLAttrib *attributes, EGLAttrib name) {
	while (attributes[0] != EGL_NONE && attributes[0] != name) {
		attributes += 2;
	}
	return attributes[0] == EGL_NONE ? -1 : attributes[1];
}

static bool is_listed(uint32_t fourcc, uint64_t modifier) {
	const struct fake_egl_layout *at = fake_egl.traits.layouts;
	while (at != NULL && at->fourcc != 0 &&
		(at->fourcc != fourcc ||
			(at->modifier != modifier &&
				(at->modifier != DRM_FORMAT_MOD_INVALID ||
					modifier != DRM_FORMAT_MOD_LINEAR)))) {
		at++;
	}
	return at != NULL && at->fourcc != 0;
}

/* The attributes of a plane follow each other, but for those of the modifiers: those of the fourth are elsewhere. */
static const struct {
	EGLAttrib fd, offset, pitch, low, high;
} names_of_planes[] = {
	{ 0x3272, 0x3273, 0x3274, 0x3443, 0x3444 },
	{ 0x3275, 0x3276, 0x3277, 0x3445, 0x3446 },
	{ 0x3278, 0x3279, 0x327A, 0x3447, 0x3448 },
	{ 0x3440, 0x3441, 0x3442, 0x3449, 0x344A },
};

static uint64_t find_modifier(const EGLAttrib *attributes, uint32_t plane) {
	uint64_t low = (uint32_t)find_attribute(attributes, names_of_planes[plane].low),
		 high = (uint32_t)find_attribute(attributes, names_of_planes[plane].high);
	return high << 32 | low;
}

/* False: there is no such plane. */
static bool see_plane(struct fake_egl_seen *seen, const EGLAttrib *attributes, uint32_t plane) {
	EGLAttrib fd = find_attribute(attributes, names_of_planes[plane].fd);
	struct stat at;
	if (fd < 0) {
		return false;
	}
	if (fstat((int)fd, &at) < 0 || find_modifier(attributes, plane) != seen->modifier) {
		fake_gpu_complain(
			"eglCreateImage: plane %u of no descriptor, or of another modifier", plane);
	}
	seen->planes[plane].file = at.st_ino;
	seen->planes[plane].offset =
		(uint64_t)find_attribute(attributes, names_of_planes[plane].offset);
	seen->planes[plane].pitch =
		(uint64_t)find_attribute(attributes, names_of_planes[plane].pitch);
	return true;
}

static EGLAttrib find_hint(const EGLAttrib *attributes, EGLAttrib name) {
	EGLAttrib hint = find_attribute(attributes, name);
	return hint < 0 ? 0 : hint;
}

static struct fake_egl_seen see(const EGLAttrib *attributes) {
	struct fake_egl_seen seen = {
		.width = (uint32_t)find_attribute(attributes, EGL_WIDTH),
		.height = (uint32_t)find_attribute(attributes, EGL_HEIGHT),
		.fourcc = (uint32_t)find_attribute(attributes, EGL_LINUX_DRM_FOURCC_EXT),
		.modifier = find_modifier(attributes, 0),
		.space = find_hint(attributes, EGL_YUV_COLOR_SPACE_HINT_EXT),
		.range = find_hint(attributes, EGL_SAMPLE_RANGE_HINT_EXT),
		.horizontal = find_hint(attributes, EGL_YUV_CHROMA_HORIZONTAL_SITING_HINT_EXT),
		.vertical = find_hint(attributes, EGL_YUV_CHROMA_VERTICAL_SITING_HINT_EXT),
	};
	while (seen.plane_count < 4 && see_plane(&seen, attributes, seen.plane_count)) {
		seen.plane_count++;
	}
	return seen;
}

/* NULL, and the call fails: there is none. */
static struct fake_egl_seen *find_room(void) {
	for (struct fake_egl_seen *image = images; image < &images[IMAGES]; image++) {
		if (image->plane_count == 0) {
			return image;
		}
	}
	fake_gpu_complain("eglCreateImage of more than %d images", IMAGES);
	last_error = EGL_BAD_ALLOC;
	return NULL;
}

static EGLImage create_image(EGLDisplay of, EGLContext with, EGLenum target, EGLClientBuffer buffer,
	const EGLAttrib *attributes) {
	(void)of;
	bool fails = enter("eglCreateImage");
	const struct fake_egl_seen seen = see(attributes);
	if (with != EGL_NO_CONTEXT || target != EGL_LINUX_DMA_BUF_EXT || buffer != NULL ||
		!is_listed(seen.fourcc, seen.modifier) || seen.plane_count == 0) {
		fake_gpu_complain("eglCreateImage of what it does not list, or of no descriptor");
	}
	struct fake_egl_seen *image = fails ? NULL : find_room();
	if (image != NULL) {
		*image = seen;
		fake_gpu_count(1);
	}
	fake_gpu_unlock();
	return image;
}

static EGLBoolean destroy_image(EGLDisplay of, EGLImage image) {
	(void)of;
	fake_gpu_lock();
	fake_gpu_count(-1);
	((struct fake_egl_seen *)image)->plane_count = 0;
	fake_gpu_unlock();
	return EGL_TRUE;
}

/* ---- Images of the application's ------------------------------------------------------------- */

static void check_exports(const char *call) {
	if (strstr(get_extensions(), "EGL_MESA_image_dma_buf_export") == NULL) {
		fake_gpu_complain("%s without EGL_MESA_image_dma_buf_export", call);
	}
}

static EGLBoolean query_own_image(EGLDisplay of, EGLImage image, EGLint *fourcc,
	EGLint *plane_count, EGLuint64KHR *modifiers) {
	const struct fake_egl_own_image *own = image;
	(void)of;
	bool fails = enter("eglExportDMABUFImageQueryMESA");
	check_exports("eglExportDMABUFImageQueryMESA");
	if (!fails && fourcc != NULL) {
		*fourcc = own->fourcc;
	}
	if (!fails && plane_count != NULL) {
		*plane_count = own->plane_count;
	}
	for (EGLint i = 0; !fails && modifiers != NULL && i < own->plane_count; i++) {
		modifiers[i] = own->modifiers[i];
	}
	fake_gpu_unlock();
	return !fails;
}

/* New descriptors, or none. */
static bool dup_all(const struct fake_egl_own_image *own, int *fds) {
	bool done = true;
	for (EGLint i = 0; i < own->plane_count; i++) {
		fds[i] = done && own->fds[i] >= 0 ? fcntl(own->fds[i], F_DUPFD_CLOEXEC, 0) : -1;
		done = done && (fds[i] >= 0) == (own->fds[i] >= 0);
	}
	for (EGLint i = 0; i < own->plane_count && !done; i++) {
		if (fds[i] >= 0) {
			close(fds[i]);
		}
		fds[i] = -1;
	}
	return done;
}

static EGLBoolean export_own_image(
	EGLDisplay of, EGLImage image, int *fds, EGLint *pitches, EGLint *offsets) {
	const struct fake_egl_own_image *own = image;
	(void)of;
	bool fails = enter("eglExportDMABUFImageMESA");
	check_exports("eglExportDMABUFImageMESA");
	if (!fails && !dup_all(own, fds)) {
		last_error = EGL_BAD_ALLOC;
		fails = true;
	}
	for (EGLint i = 0; i < own->plane_count && !fails; i++) {
		pitches[i] = own->pitches[i];
		offsets[i] = own->offsets[i];
	}
	fake_gpu_unlock();
	return !fails;
}

/* For all else that is asked for. */
static EGLBoolean have_nothing(void) {
	return EGL_FALSE;
}

static stile_egl_proc get_proc(const char *name) {
	static const struct {
		const char *name;
		stile_egl_proc proc;
	} known[] = {
		{ "eglClientWaitSync", (stile_egl_proc)client_wait },
		{ "eglCreateImage", (stile_egl_proc)create_image },
		{ "eglCreateSync", (stile_egl_proc)create_sync },
		{ "eglCreateSyncKHR", (stile_egl_proc)create_sync_khr },
		{ "eglDestroyImage", (stile_egl_proc)destroy_image },
		{ "eglDestroySync", (stile_egl_proc)destroy_sync },
		{ "eglDupNativeFenceFDANDROID", (stile_egl_proc)dup_native },
		{ "eglExportDMABUFImageMESA", (stile_egl_proc)export_own_image },
		{ "eglExportDMABUFImageQueryMESA", (stile_egl_proc)query_own_image },
		{ "eglGetCurrentContext", (stile_egl_proc)get_context },
		{ "eglGetCurrentDisplay", (stile_egl_proc)get_display },
		{ "eglGetDisplayDriverName", (stile_egl_proc)get_driver_name },
		{ "eglGetError", (stile_egl_proc)tell_error },
		{ "eglGetSyncAttrib", (stile_egl_proc)get_attrib },
		{ "eglQueryDeviceStringEXT", (stile_egl_proc)query_device },
		{ "eglQueryDisplayAttribEXT", (stile_egl_proc)query_display },
		{ "eglQueryDmaBufFormatsEXT", (stile_egl_proc)list_formats },
		{ "eglQueryDmaBufModifiersEXT", (stile_egl_proc)list_modifiers },
		{ "eglQueryString", (stile_egl_proc)query },
		{ "eglWaitSync", (stile_egl_proc)server_wait },
		{ "glFlush", (stile_egl_proc)flush },
	};
	if (fake_egl.traits.lacks != NULL && strcmp(name, fake_egl.traits.lacks) == 0) {
		return NULL;
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(name, known[i].name) == 0) {
			return known[i].proc;
		}
	}
	stile_egl_proc of_gl = fake_gl_find(name);
	return of_gl == NULL ? (stile_egl_proc)have_nothing : of_gl;
}

/* ---- The fake -------------------------------------------------------------------------------- */

void fake_egl_create(const struct fake_egl_traits *has) {
	fake_egl.traits = *has;
	lost = false;
	hold = NULL;
	unflushed = NULL;
	fake_egl.is_signal_unflushed = false;
	memset(images, 0, sizeof(images));
	fake_gl_begin();
	is_current = true;
	last_error = EGL_SUCCESS;
	fake_egl.queue = fake_queue_create();
}

void fake_egl_destroy(void) {
	if (fake_egl.is_signal_unflushed) {
		fake_gpu_complain("a signal that was not flushed");
	}
	fake_gl_end();
	fake_queue_destroy(fake_egl.queue);
	fake_egl.queue = NULL;
	is_current = false;
}

void fake_egl_set_current(bool current) {
	is_current = current;
}

void fake_egl_set_others_current(bool current) {
	has_others = current;
}

struct stile_egl_info fake_egl_describe(void) {
	return (struct stile_egl_info){
		.size = sizeof(struct stile_egl_info),
		.get_proc_address = get_proc,
		.display = display,
	};
}

void fake_egl_hold(void) {
	fake_gpu_lock();
	hold = fake_payload_create();
	if (hold != NULL) {
		hold->submitted = 1;
		struct fake_batch batch = {
			.waits = { { .payload = hold, .value = 1 } },
			.wait_count = 1,
		};
		fake_queue_submit(fake_egl.queue, &batch);
	}
	fake_gpu_unlock();
	runner_require(hold != NULL, "no memory");
}

void fake_egl_let_go(void) {
	fake_gpu_lock();
	fake_payload_set(hold, 1);
	fake_payload_unref(hold);
	hold = NULL;
	fake_gpu_unlock();
}

bool fake_egl_is_idle(void) {
	fake_gpu_lock();
	bool idle = fake_queue_is_idle(fake_egl.queue);
	fake_gpu_unlock();
	return idle;
}

bool fake_egl_becomes_idle(void) {
	int64_t deadline_ns = runner_clock_ns() + 60 * (int64_t)1000000000;
	while (!fake_egl_is_idle() && runner_clock_ns() < deadline_ns) {
		runner_sleep_ms(1);
	}
	return fake_egl_is_idle();
}

struct fake_egl_seen fake_egl_look(EGLImage image) {
	return *(const struct fake_egl_seen *)image;
}

EGLSync fake_egl_sync(bool reusable) {
	fake_gpu_lock();
	struct sync *sync = sync_create(reusable ? EGL_SYNC_REUSABLE_KHR : EGL_SYNC_FENCE, -1);
	if (sync != NULL) {
		sync->flushed = true;
	}
	fake_gpu_unlock();
	runner_require(sync != NULL, "no memory");
	return sync;
}

void fake_egl_destroy_sync(EGLSync sync) {
	destroy_sync(display, sync);
}
