/* The Seeder Storage Interface for shared objects: plain C, so that a back end can be written in
 * any language and built with any compiler.
 *
 * A shared object exports eagle_ssi_plugin_v1(). Meaning, threads and errors of each function are
 * those of the method of the same name in backend.h; this file adds only how values travel. A later
 * version of this interface gets another symbol; version 1 stays as it is. */
#ifndef EAGLE_SEEDER_SSI_PLUGIN_ABI_H_
#define EAGLE_SEEDER_SSI_PLUGIN_ABI_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EAGLE_SSI_ABI_VERSION 1
#define EAGLE_SSI_SYMBOL "eagle_ssi_plugin_v1"

enum {
  EAGLE_SSI_OK = 0,
  EAGLE_SSI_NOT_FOUND = 1,
  EAGLE_SSI_INVALID_ARGUMENT = 2,
  EAGLE_SSI_NO_SPACE = 3,
  EAGLE_SSI_PERMISSION_DENIED = 4,
  EAGLE_SSI_CANCELLED = 5,
  EAGLE_SSI_UNAVAILABLE = 6
};

/* Filled by a function that fails; NUL-terminated. May be left alone. */
typedef struct {
  char message[512];
} eagle_ssi_error;

/* One line of `storage.backend.options`. */
typedef struct {
  const char* key;
  const char* value;
} eagle_ssi_option;

/* Takes bytes in order. Other than 0 ends the call, whose own result does not matter then. */
typedef int (*eagle_ssi_sink)(void* context, const void* data, size_t size);

/* Every pointer that the seeder passes is valid during the call only. `int` results are one of the
 * codes above. No function may let an exception out. */
typedef struct {
  uint32_t abi_version; /* EAGLE_SSI_ABI_VERSION */
  uint32_t struct_size; /* sizeof(eagle_ssi_plugin) */

  /* *backend is passed to all others. An option that is not known should fail, naming it. */
  int (*open)(const eagle_ssi_option* options, size_t count, void** backend,
              eagle_ssi_error* error);
  /* After stop() and after every other call has returned. */
  void (*close)(void* backend);
  void (*stop)(void* backend);

  int (*create)(void* backend, const char* id, int64_t size, const void* metainfo,
                size_t metainfo_size, void** upload, eagle_ssi_error* error);
  int (*upload_write)(void* upload, const void* data, size_t size, eagle_ssi_error* error);
  int (*upload_commit)(void* upload, eagle_ssi_error* error);
  /* Once for every upload, committed or not. */
  void (*upload_close)(void* upload);

  int (*stat)(void* backend, const char* id, int64_t* size, eagle_ssi_error* error);
  /* The torrent goes to the sink. */
  int (*metainfo)(void* backend, const char* id, eagle_ssi_sink sink, void* context,
                  eagle_ssi_error* error);
  int (*set_metainfo)(void* backend, const char* id, const void* metainfo, size_t metainfo_size,
                      eagle_ssi_error* error);
  int (*download)(void* backend, const char* id, int64_t offset, int64_t size, eagle_ssi_sink sink,
                  void* context, eagle_ssi_error* error);
  int (*remove)(void* backend, const char* id, eagle_ssi_error* error);
  /* Other than 0 from `visit` ends the list, which is no failure. */
  int (*list)(void* backend, const char* prefix,
              int (*visit)(void* context, const char* id, int64_t size), void* context,
              eagle_ssi_error* error);
  /* Writes at most `capacity` bytes with the NUL. */
  void (*data_location)(void* backend, const char* id, char* out, size_t capacity);
  void (*torrent_location)(void* backend, const char* id, char* out, size_t capacity);
} eagle_ssi_plugin;

/* Never NULL; valid while the process lives. */
const eagle_ssi_plugin* eagle_ssi_plugin_v1(void);

#ifdef __cplusplus
}
#endif

#endif /* EAGLE_SEEDER_SSI_PLUGIN_ABI_H_ */
