#include "cli/containerd_config.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <deque>
#include <filesystem>

#include "lib/base/file.h"

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

namespace eagle::cli {
namespace {

// More than any host has; a chain of imports without end stops here.
constexpr std::size_t kMaxFiles = 256;
constexpr std::string_view kTransfer = "io.containerd.transfer.v1.local";
constexpr std::string_view kDiffService = "io.containerd.service.v1.diff-service";
constexpr std::string_view kCriV2 = "io.containerd.grpc.v1.cri";
constexpr std::string_view kCriImages = "io.containerd.cri.v1.images";

void ReadString(toml::node_view<const toml::node> node, std::string* out) {
  if (const auto value = node.value<std::string>()) *out = *value;
}

std::vector<std::string> Strings(toml::node_view<const toml::node> node) {
  std::vector<std::string> all;
  if (const toml::array* array = node.as_array()) {
    for (const toml::node& item : *array) {
      if (const auto value = item.value<std::string>()) all.push_back(*value);
    }
  }
  return all;
}

void MergePlugins(toml::node_view<const toml::node> plugins, const std::string& file,
                  ContainerdConfig* config) {
  ReadString(plugins[kCriV2]["containerd"]["snapshotter"], &config->snapshotter);
  ReadString(plugins[kCriImages]["snapshotter"], &config->snapshotter);
  if (const auto order = plugins[kDiffService]["default"]; order.is_array()) {
    config->differs.push_back({Strings(order), file});
  }
  if (const toml::array* unpack = plugins[kTransfer]["unpack_config"].as_array()) {
    for (const toml::node& item : *unpack) {
      const auto row = static_cast<toml::node_view<const toml::node>>(item);
      ContainerdConfig::Unpack entry;
      entry.file = file;
      ReadString(row["platform"], &entry.platform);
      ReadString(row["snapshotter"], &entry.snapshotter);
      ReadString(row["differ"], &entry.differ);
      config->unpack.push_back(std::move(entry));
    }
  }
}

void Merge(const toml::table& root, const std::string& file, ContainerdConfig* config) {
  config->files.push_back({file, root["version"].value<std::int64_t>(), Strings(root["imports"])});
  ReadString(root["root"], &config->root);
  ReadString(root["grpc"]["address"], &config->address);
  for (const std::string& plugin : Strings(root["disabled_plugins"])) {
    config->disabled.push_back(plugin);
  }
  if (const toml::table* proxies = root["proxy_plugins"].as_table()) {
    for (const auto& [name, value] : *proxies) {
      const auto row = static_cast<toml::node_view<const toml::node>>(value);
      ContainerdConfig::Proxy& proxy = config->proxies[std::string(name.str())];
      ReadString(row["type"], &proxy.type);
      ReadString(row["address"], &proxy.address);
      proxy.file = file;
    }
  }
  MergePlugins(root["plugins"], file, config);
}

absl::Status MergeText(std::string_view text, const std::string& name, ContainerdConfig* config) {
  const toml::parse_result parsed = toml::parse(text, name);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return absl::InvalidArgumentError(fmt::format("{}:{}:{}: {}", name, error.source().begin.line,
                                                  error.source().begin.column,
                                                  error.description()));
  }
  Merge(parsed.table(), name, config);
  return absl::OkStatus();
}

// The files that an import stands for, without `root`. A wildcard may stand for none.
std::vector<std::string> Expand(const std::string& root, const std::string& importing,
                                const std::string& import) {
  std::string pattern = import;
  if (!pattern.starts_with('/')) {
    pattern = (std::filesystem::path(importing).parent_path() / import).string();
  }
  if (pattern.find_first_of("*?[") == std::string::npos) return {pattern};
  std::vector<std::string> paths;
  glob_t found{};
  if (::glob((root + pattern).c_str(), 0, nullptr, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc; ++i) {
      paths.emplace_back(std::string(found.gl_pathv[i]).substr(root.size()));
    }
  }
  ::globfree(&found);
  return paths;
}

}  // namespace

std::int64_t ContainerdConfig::root_version() const {
  return files.empty() ? 1 : files.front().version.value_or(1);
}

const ContainerdConfig::File* ContainerdConfig::Find(std::string_view path) const {
  const auto found =
      std::find_if(files.begin(), files.end(), [&](const File& file) { return file.path == path; });
  return found == files.end() ? nullptr : &*found;
}

absl::StatusOr<ContainerdConfig> LoadContainerdConfig(const std::string& root,
                                                      const std::string& path) {
  // "/" and "/etc" make "//etc", which a message should not show.
  const std::string prefix = root == "/" ? "" : root;
  ContainerdConfig config;
  std::deque<std::string> waiting{path};
  while (!waiting.empty() && config.files.size() < kMaxFiles) {
    const std::string next = waiting.front();
    waiting.pop_front();
    if (config.Find(next) != nullptr) continue;
    const auto text = base::ReadFile(prefix + next);
    if (absl::IsNotFound(text.status()) && !config.files.empty()) {
      config.missing_imports.push_back(next);
      continue;
    }
    EAGLE_RETURN_IF_ERROR(text.status());
    EAGLE_RETURN_IF_ERROR(MergeText(*text, next, &config));
    for (const std::string& import : config.files.back().imports) {
      for (std::string& file : Expand(prefix, next, import)) waiting.push_back(std::move(file));
    }
  }
  return config;
}

absl::StatusOr<ContainerdConfig> ParseContainerdConfig(std::string_view text,
                                                       const std::string& name) {
  ContainerdConfig config;
  EAGLE_RETURN_IF_ERROR(MergeText(text, name, &config));
  return config;
}

}  // namespace eagle::cli
