#include "seeder/ssi/plugin_backend.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstring>
#include <utility>
#include <vector>

#include "seeder/ssi/plugin_abi.h"

namespace eagle::ssi {
namespace {

constexpr std::size_t kMaxMetainfo = 16 << 20;
constexpr std::size_t kMaxLocation = 4096;

absl::Status StatusOf(int code, const eagle_ssi_error& error) {
  const std::string message(error.message, ::strnlen(error.message, sizeof error.message));
  switch (code) {
    case EAGLE_SSI_OK:
      return absl::OkStatus();
    case EAGLE_SSI_NOT_FOUND:
      return absl::NotFoundError(message);
    case EAGLE_SSI_INVALID_ARGUMENT:
      return absl::InvalidArgumentError(message);
    case EAGLE_SSI_NO_SPACE:
      return absl::ResourceExhaustedError(message);
    case EAGLE_SSI_PERMISSION_DENIED:
      return absl::PermissionDeniedError(message);
    case EAGLE_SSI_CANCELLED:
      return absl::CancelledError(message);
    default:
      return absl::UnavailableError(message);
  }
}

// Carries a C++ sink through C, and its error back.
struct SinkContext {
  const Backend::Sink& sink;
  absl::Status status;

  static int Take(void* context, const void* data, std::size_t size) {
    auto* self = static_cast<SinkContext*>(context);
    if (self->status.ok()) self->status = self->sink({static_cast<const char*>(data), size});
    return self->status.ok() ? 0 : 1;
  }
};

struct VisitContext {
  const Backend::Visitor& visitor;

  static int Take(void* context, const char* id, std::int64_t size) {
    return static_cast<VisitContext*>(context)->visitor({id, size}) ? 0 : 1;
  }
};

class PluginUpload final : public Upload {
 public:
  PluginUpload(const eagle_ssi_plugin& plugin, void* upload) : plugin_(plugin), upload_(upload) {}
  ~PluginUpload() override { plugin_.upload_close(upload_); }

  absl::Status Write(std::string_view data) override {
    eagle_ssi_error error{};
    return StatusOf(plugin_.upload_write(upload_, data.data(), data.size(), &error), error);
  }
  absl::Status Commit() override {
    eagle_ssi_error error{};
    return StatusOf(plugin_.upload_commit(upload_, &error), error);
  }

 private:
  const eagle_ssi_plugin& plugin_;
  void* const upload_;
};

class PluginBackend final : public Backend {
 public:
  PluginBackend(const eagle_ssi_plugin& plugin, void* backend)
      : plugin_(plugin), backend_(backend) {}
  ~PluginBackend() override { plugin_.close(backend_); }

  absl::StatusOr<std::unique_ptr<Upload>> Create(const std::string& id, std::int64_t size_bytes,
                                                 const std::string& metainfo) override {
    eagle_ssi_error error{};
    void* upload = nullptr;
    const int code = plugin_.create(backend_, id.c_str(), size_bytes, metainfo.data(),
                                    metainfo.size(), &upload, &error);
    EAGLE_RETURN_IF_ERROR(StatusOf(code, error));
    return std::make_unique<PluginUpload>(plugin_, upload);
  }

  absl::StatusOr<LayerInfo> Stat(const std::string& id) override {
    eagle_ssi_error error{};
    LayerInfo info{id, 0};
    EAGLE_RETURN_IF_ERROR(
        StatusOf(plugin_.stat(backend_, id.c_str(), &info.size_bytes, &error), error));
    return info;
  }

  absl::StatusOr<std::string> Metainfo(const std::string& id) override {
    eagle_ssi_error error{};
    std::string metainfo;
    const Sink sink = [&](std::string_view data) {
      if (metainfo.size() + data.size() > kMaxMetainfo) {
        return absl::Status(absl::UnavailableError("the back end's torrent is too large"));
      }
      metainfo += data;
      return absl::OkStatus();
    };
    SinkContext context{sink, {}};
    const int code = plugin_.metainfo(backend_, id.c_str(), &SinkContext::Take, &context, &error);
    EAGLE_RETURN_IF_ERROR(context.status);
    EAGLE_RETURN_IF_ERROR(StatusOf(code, error));
    return metainfo;
  }

  absl::Status SetMetainfo(const std::string& id, const std::string& metainfo) override {
    eagle_ssi_error error{};
    return StatusOf(
        plugin_.set_metainfo(backend_, id.c_str(), metainfo.data(), metainfo.size(), &error),
        error);
  }

  absl::Status Download(const std::string& id, std::int64_t offset, std::int64_t size_bytes,
                        const Sink& sink) override {
    eagle_ssi_error error{};
    SinkContext context{sink, {}};
    const int code = plugin_.download(backend_, id.c_str(), offset, size_bytes, &SinkContext::Take,
                                      &context, &error);
    EAGLE_RETURN_IF_ERROR(context.status);
    return StatusOf(code, error);
  }

  absl::Status Delete(const std::string& id) override {
    eagle_ssi_error error{};
    return StatusOf(plugin_.remove(backend_, id.c_str(), &error), error);
  }

  absl::Status List(const std::string& prefix, const Visitor& visitor) override {
    eagle_ssi_error error{};
    VisitContext context{visitor};
    return StatusOf(plugin_.list(backend_, prefix.c_str(), &VisitContext::Take, &context, &error),
                    error);
  }

  std::string DataLocation(const std::string& id) override {
    return LocationFrom(plugin_.data_location, id);
  }
  std::string TorrentLocation(const std::string& id) override {
    return LocationFrom(plugin_.torrent_location, id);
  }

  void Stop() override { plugin_.stop(backend_); }

 private:
  template <typename Function>
  std::string LocationFrom(const Function& function, const std::string& id) {
    std::string out(kMaxLocation, '\0');
    function(backend_, id.c_str(), out.data(), out.size());
    out.resize(::strnlen(out.c_str(), out.size()));
    return out;
  }

  const eagle_ssi_plugin& plugin_;
  void* const backend_;
};

absl::StatusOr<const eagle_ssi_plugin*> Load(const std::string& path) {
  void* object = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (object == nullptr) {
    const char* why = ::dlerror();
    return absl::FailedPreconditionError(
        fmt::format("storage back end {} can not be loaded: {}", path, why != nullptr ? why : ""));
  }
  using Entry = const eagle_ssi_plugin* (*)();
  const auto entry = reinterpret_cast<Entry>(::dlsym(object, EAGLE_SSI_SYMBOL));
  const eagle_ssi_plugin* plugin = entry != nullptr ? entry() : nullptr;
  if (plugin == nullptr || plugin->abi_version != EAGLE_SSI_ABI_VERSION ||
      plugin->struct_size < sizeof(eagle_ssi_plugin)) {
    return absl::FailedPreconditionError(fmt::format(
        "{} is no storage back end of version {}; build it with this seeder's plugin_abi.h", path,
        EAGLE_SSI_ABI_VERSION));
  }
  return plugin;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> OpenPlugin(
    const std::string& path, const std::map<std::string, std::string>& options) {
  EAGLE_ASSIGN_OR_RETURN(const eagle_ssi_plugin* plugin, Load(path));
  std::vector<eagle_ssi_option> list;
  for (const auto& [key, value] : options) list.push_back({key.c_str(), value.c_str()});
  eagle_ssi_error error{};
  void* backend = nullptr;
  EAGLE_RETURN_IF_ERROR(base::Annotate(
      StatusOf(plugin->open(list.data(), list.size(), &backend, &error), error), path));
  return std::make_unique<PluginBackend>(*plugin, backend);
}

}  // namespace eagle::ssi
