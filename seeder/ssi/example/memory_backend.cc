// A worked example of a storage back end in a shared object: it keeps layers in memory, for as long
// as the seeder runs. Built as libeagle-ssi-memory.so; plugin_abi.h is all that it needs.
//
//   storage:
//     backend:
//       name: /usr/lib/eagle/libeagle-ssi-memory.so
//       options: {limit: "1000000"}

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>

#include "seeder/ssi/plugin_abi.h"

namespace {

struct Layer {
  std::string data;
  std::string metainfo;
};

struct Memory {
  std::mutex mutex;
  // Shared, so that a download goes on when its layer is removed.
  std::map<std::string, std::shared_ptr<const Layer>> layers;
  std::size_t used = 0;
  std::size_t limit = SIZE_MAX;
};

struct Upload {
  Memory* memory;
  std::string id;
  std::size_t size;
  Layer layer;
};

int Fail(eagle_ssi_error* error, int code, const std::string& message) {
  std::snprintf(error->message, sizeof error->message, "%s", message.c_str());
  return code;
}

Memory* Of(void* backend) {
  return static_cast<Memory*>(backend);
}

std::shared_ptr<const Layer> Find(void* backend, const char* id) {
  Memory* memory = Of(backend);
  const std::lock_guard<std::mutex> held(memory->mutex);
  const auto it = memory->layers.find(id);
  return it == memory->layers.end() ? nullptr : it->second;
}

// Under the lock: takes the place of what was there.
int Put(Memory* memory, const std::string& id, std::shared_ptr<const Layer> layer,
        eagle_ssi_error* error) {
  const auto it = memory->layers.find(id);
  const std::size_t before = it == memory->layers.end() ? 0 : it->second->data.size();
  const std::size_t used = memory->used - before + layer->data.size();
  if (used > memory->limit) return Fail(error, EAGLE_SSI_NO_SPACE, "raise the option limit");
  memory->used = used;
  memory->layers[id] = std::move(layer);
  return EAGLE_SSI_OK;
}

int Open(const eagle_ssi_option* options, std::size_t count, void** backend,
         eagle_ssi_error* error) {
  auto memory = std::make_unique<Memory>();
  for (std::size_t i = 0; i < count; ++i) {
    if (std::strcmp(options[i].key, "limit") != 0) {
      return Fail(error, EAGLE_SSI_INVALID_ARGUMENT,
                  std::string("unknown option ") + options[i].key);
    }
    memory->limit = std::strtoull(options[i].value, nullptr, 10);
  }
  *backend = memory.release();
  return EAGLE_SSI_OK;
}

void Close(void* backend) {
  delete Of(backend);
}

void Stop(void*) {
  // Nothing here waits for anything.
}

int Create(void* backend, const char* id, std::int64_t size, const void* metainfo,
           std::size_t metainfo_size, void** upload, eagle_ssi_error*) {
  *upload = new Upload{Of(backend),
                       id,
                       static_cast<std::size_t>(size),
                       {"", std::string(static_cast<const char*>(metainfo), metainfo_size)}};
  return EAGLE_SSI_OK;
}

int UploadWrite(void* upload, const void* data, std::size_t size, eagle_ssi_error* error) {
  auto* self = static_cast<Upload*>(upload);
  if (self->layer.data.size() + size > self->memory->limit) {
    return Fail(error, EAGLE_SSI_NO_SPACE, "raise the option limit");
  }
  self->layer.data.append(static_cast<const char*>(data), size);
  return EAGLE_SSI_OK;
}

int UploadCommit(void* upload, eagle_ssi_error* error) {
  auto* self = static_cast<Upload*>(upload);
  if (self->layer.data.size() != self->size) {
    return Fail(error, EAGLE_SSI_INVALID_ARGUMENT, "not as many bytes as announced");
  }
  const std::lock_guard<std::mutex> held(self->memory->mutex);
  return Put(self->memory, self->id, std::make_shared<const Layer>(std::move(self->layer)), error);
}

void UploadClose(void* upload) {
  delete static_cast<Upload*>(upload);
}

int Stat(void* backend, const char* id, std::int64_t* size, eagle_ssi_error* error) {
  const auto layer = Find(backend, id);
  if (layer == nullptr) return Fail(error, EAGLE_SSI_NOT_FOUND, "no such layer");
  *size = static_cast<std::int64_t>(layer->data.size());
  return EAGLE_SSI_OK;
}

int Metainfo(void* backend, const char* id, eagle_ssi_sink sink, void* context,
             eagle_ssi_error* error) {
  const auto layer = Find(backend, id);
  if (layer == nullptr) return Fail(error, EAGLE_SSI_NOT_FOUND, "no such layer");
  sink(context, layer->metainfo.data(), layer->metainfo.size());
  return EAGLE_SSI_OK;
}

int SetMetainfo(void* backend, const char* id, const void* metainfo, std::size_t metainfo_size,
                eagle_ssi_error* error) {
  Memory* memory = Of(backend);
  const std::lock_guard<std::mutex> held(memory->mutex);
  const auto it = memory->layers.find(id);
  if (it == memory->layers.end()) return Fail(error, EAGLE_SSI_NOT_FOUND, "no such layer");
  it->second = std::make_shared<const Layer>(
      Layer{it->second->data, std::string(static_cast<const char*>(metainfo), metainfo_size)});
  return EAGLE_SSI_OK;
}

int Download(void* backend, const char* id, std::int64_t offset, std::int64_t size,
             eagle_ssi_sink sink, void* context, eagle_ssi_error* error) {
  const auto layer = Find(backend, id);
  if (layer == nullptr) return Fail(error, EAGLE_SSI_NOT_FOUND, "no such layer");
  const auto end = static_cast<std::int64_t>(layer->data.size());
  if (offset >= end || size <= 0) return EAGLE_SSI_OK;
  sink(context, layer->data.data() + offset,
       static_cast<std::size_t>(std::min(size, end - offset)));
  return EAGLE_SSI_OK;
}

int Remove(void* backend, const char* id, eagle_ssi_error*) {
  Memory* memory = Of(backend);
  const std::lock_guard<std::mutex> held(memory->mutex);
  const auto it = memory->layers.find(id);
  if (it == memory->layers.end()) return EAGLE_SSI_OK;
  memory->used -= it->second->data.size();
  memory->layers.erase(it);
  return EAGLE_SSI_OK;
}

int List(void* backend, const char* prefix, int (*visit)(void*, const char*, std::int64_t),
         void* context, eagle_ssi_error*) {
  Memory* memory = Of(backend);
  const std::lock_guard<std::mutex> held(memory->mutex);
  for (auto it = memory->layers.lower_bound(prefix); it != memory->layers.end(); ++it) {
    if (it->first.compare(0, std::strlen(prefix), prefix) != 0) break;
    const auto size = static_cast<std::int64_t>(it->second->data.size());
    if (visit(context, it->first.c_str(), size) != 0) break;
  }
  return EAGLE_SSI_OK;
}

void DataLocation(void*, const char* id, char* out, std::size_t capacity) {
  std::snprintf(out, capacity, "memory:data/%s", id);
}

void TorrentLocation(void*, const char* id, char* out, std::size_t capacity) {
  std::snprintf(out, capacity, "memory:torrents/%s", id);
}

}  // namespace

extern "C" const eagle_ssi_plugin* eagle_ssi_plugin_v1(void) {
  static const eagle_ssi_plugin plugin = {EAGLE_SSI_ABI_VERSION,
                                          sizeof(eagle_ssi_plugin),
                                          Open,
                                          Close,
                                          Stop,
                                          Create,
                                          UploadWrite,
                                          UploadCommit,
                                          UploadClose,
                                          Stat,
                                          Metainfo,
                                          SetMetainfo,
                                          Download,
                                          Remove,
                                          List,
                                          DataLocation,
                                          TorrentLocation};
  return &plugin;
}
