#include "plugin/folder.h"

#include <dirent.h>
#include <fmt/format.h>

#include <cerrno>
#include <memory>
#include <string_view>

namespace eagle::plugin {
namespace {

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

}  // namespace

absl::Status ForEachEntry(const std::string& folder,
                          const std::function<bool(int folder_fd, const char* name)>& visit) {
  const std::unique_ptr<DIR, CloseFolder> open(::opendir(folder.c_str()));
  if (open == nullptr) return base::ErrnoError(errno, fmt::format("list {}", folder));
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(open.get());
    if (entry == nullptr) {
      return errno == 0 ? absl::OkStatus()
                        : base::ErrnoError(errno, fmt::format("list {}", folder));
    }
    const std::string_view name(entry->d_name);
    if (name == "." || name == "..") continue;
    if (!visit(::dirfd(open.get()), entry->d_name)) return absl::OkStatus();
  }
}

}  // namespace eagle::plugin
