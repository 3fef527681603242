#include "seeder/ssi/fs_backend.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <random>
#include <utility>
#include <vector>

#include "lib/base/file.h"
#include "lib/base/unique_fd.h"

namespace eagle::ssi {
namespace {

constexpr std::size_t kStep = 1 << 20;
constexpr std::int64_t kMaxMetainfo = 16 << 20;
constexpr std::time_t kLeftoverSeconds = 24 * 3600;

absl::Status Stopped() {
  return absl::CancelledError("the storage is being closed");
}

// Names below the folder; hidden ones are none of ours.
absl::StatusOr<std::vector<std::string>> NamesIn(const std::string& directory) {
  DIR* handle = ::opendir(directory.c_str());
  if (handle == nullptr) return base::ErrnoError(errno, "open " + directory);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(handle)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  ::closedir(handle);
  return names;
}

// A file below `incoming`, for good once it is renamed. The name is nobody else's, on any host.
class IncomingFile {
 public:
  static absl::StatusOr<std::unique_ptr<IncomingFile>> Make(const std::string& directory) {
    std::random_device random;
    const std::string path =
        fmt::format("{}/incoming/{:08x}{:08x}{:08x}", directory, random(), random(), random());
    EAGLE_ASSIGN_OR_RETURN(base::UniqueFd fd, base::OpenFile(path, O_WRONLY | O_CREAT | O_EXCL));
    return std::unique_ptr<IncomingFile>(new IncomingFile(path, std::move(fd)));
  }
  ~IncomingFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  IncomingFile(const IncomingFile&) = delete;
  IncomingFile& operator=(const IncomingFile&) = delete;

  absl::Status Write(std::string_view data) {
    EAGLE_RETURN_IF_ERROR(base::WriteAllAt(fd_.get(), data, written_));
    written_ += static_cast<std::int64_t>(data.size());
    return absl::OkStatus();
  }
  [[nodiscard]] std::int64_t written() const { return written_; }

  // Durable under its final name, in a folder of `directory`.
  absl::Status MoveTo(const std::string& directory, const std::string& name) {
    if (::fsync(fd_.get()) != 0) return base::ErrnoError(errno, "fsync");
    const std::string target = directory + "/" + name;
    if (::rename(path_.c_str(), target.c_str()) != 0) {
      return base::ErrnoError(errno, "rename to " + target);
    }
    path_.clear();
    return base::SyncDirectory(directory);
  }

 private:
  IncomingFile(std::string path, base::UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  base::UniqueFd fd_;
  std::int64_t written_ = 0;
};

class FsUpload final : public Upload {
 public:
  FsUpload(std::string directory, std::string id, std::int64_t size_bytes,
           std::unique_ptr<IncomingFile> data, std::unique_ptr<IncomingFile> torrent)
      : directory_(std::move(directory)),
        id_(std::move(id)),
        size_bytes_(size_bytes),
        data_(std::move(data)),
        torrent_(std::move(torrent)) {}

  absl::Status Write(std::string_view data) override { return data_->Write(data); }

  absl::Status Commit() override {
    if (data_->written() != size_bytes_) {
      return absl::InvalidArgumentError(
          fmt::format("{} bytes of {} were written", data_->written(), size_bytes_));
    }
    // The data's name is what makes a layer be there, so it comes last.
    EAGLE_RETURN_IF_ERROR(torrent_->MoveTo(directory_ + "/torrents", id_));
    return data_->MoveTo(directory_ + "/data", id_);
  }

 private:
  const std::string directory_;
  const std::string id_;
  const std::int64_t size_bytes_;
  const std::unique_ptr<IncomingFile> data_;
  const std::unique_ptr<IncomingFile> torrent_;
};

absl::Status Unlink(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return base::ErrnoError(errno, "remove " + path);
}

}  // namespace

absl::StatusOr<std::unique_ptr<FsBackend>> FsBackend::Open(const std::string& directory) {
  for (const char* name : {"data", "torrents", "incoming"}) {
    EAGLE_RETURN_IF_ERROR(base::MakeDirectories(directory + "/" + name));
  }
  const std::string incoming = directory + "/incoming";
  EAGLE_ASSIGN_OR_RETURN(const auto leftovers, NamesIn(incoming));
  for (const std::string& name : leftovers) {
    const std::string path = incoming + "/" + name;
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) continue;
    if (std::time(nullptr) - status.st_mtime > kLeftoverSeconds) ::unlink(path.c_str());
  }
  return std::unique_ptr<FsBackend>(new FsBackend(directory));
}

std::string FsBackend::DataLocation(const std::string& id) {
  return directory_ + "/data/" + id;
}

std::string FsBackend::TorrentLocation(const std::string& id) {
  return directory_ + "/torrents/" + id;
}

absl::StatusOr<std::unique_ptr<Upload>> FsBackend::Create(const std::string& id,
                                                          std::int64_t size_bytes,
                                                          const std::string& metainfo) {
  if (stopping_) return Stopped();
  EAGLE_ASSIGN_OR_RETURN(auto data, IncomingFile::Make(directory_));
  EAGLE_ASSIGN_OR_RETURN(auto torrent, IncomingFile::Make(directory_));
  EAGLE_RETURN_IF_ERROR(torrent->Write(metainfo));
  return std::make_unique<FsUpload>(directory_, id, size_bytes, std::move(data),
                                    std::move(torrent));
}

absl::StatusOr<LayerInfo> FsBackend::Stat(const std::string& id) {
  struct stat status {};
  if (::stat(DataLocation(id).c_str(), &status) != 0) {
    return base::ErrnoError(errno, DataLocation(id));
  }
  return LayerInfo{id, status.st_size};
}

absl::StatusOr<std::string> FsBackend::Metainfo(const std::string& id) {
  EAGLE_RETURN_IF_ERROR(Stat(id).status());
  return base::ReadFile(TorrentLocation(id), kMaxMetainfo);
}

absl::Status FsBackend::SetMetainfo(const std::string& id, const std::string& metainfo) {
  if (stopping_) return Stopped();
  EAGLE_RETURN_IF_ERROR(Stat(id).status());
  EAGLE_ASSIGN_OR_RETURN(const auto file, IncomingFile::Make(directory_));
  EAGLE_RETURN_IF_ERROR(file->Write(metainfo));
  return file->MoveTo(directory_ + "/torrents", id);
}

absl::Status FsBackend::Download(const std::string& id, std::int64_t offset,
                                 std::int64_t size_bytes, const Sink& sink) {
  // Held open, so that a layer which is deleted meanwhile is still read to its end.
  EAGLE_ASSIGN_OR_RETURN(const base::UniqueFd fd,
                         base::OpenFile(DataLocation(id), O_RDONLY | O_NOFOLLOW));
  while (size_bytes > 0) {
    if (stopping_) return Stopped();
    const auto step = std::min<std::int64_t>(size_bytes, kStep);
    EAGLE_ASSIGN_OR_RETURN(const std::string data,
                           base::ReadAt(fd.get(), offset, static_cast<std::size_t>(step)));
    if (data.empty()) break;
    EAGLE_RETURN_IF_ERROR(sink(data));
    offset += static_cast<std::int64_t>(data.size());
    size_bytes -= static_cast<std::int64_t>(data.size());
  }
  return absl::OkStatus();
}

absl::Status FsBackend::Delete(const std::string& id) {
  EAGLE_RETURN_IF_ERROR(Unlink(DataLocation(id)));
  return Unlink(TorrentLocation(id));
}

absl::Status FsBackend::List(const std::string& prefix, const Visitor& visitor) {
  EAGLE_ASSIGN_OR_RETURN(const auto names, NamesIn(directory_ + "/data"));
  for (const std::string& name : names) {
    if (stopping_) return Stopped();
    if (!name.starts_with(prefix)) continue;
    const auto info = Stat(name);
    if (info.ok() && !visitor(*info)) break;
  }
  return absl::OkStatus();
}

}  // namespace eagle::ssi
