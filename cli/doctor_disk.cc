#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "cli/doctor.h"
#include "cli/store_scan.h"
#include "lib/base/units.h"

namespace eagle::cli {
namespace {

constexpr double kLittleSpace = 0.10;
constexpr double kNoSpace = 0.02;
constexpr mode_t kOthersWrite = 0022;

void CheckFolder(const ContainerdHost& host, const std::string& path, Report* report) {
  struct stat info {};
  if (::stat(host.At(path).c_str(), &info) != 0) return;
  if (!S_ISDIR(info.st_mode)) {
    report->Fail("layout", path + " is no folder", "move it away; the plugin makes it anew");
  } else if (info.st_uid != 0 || (info.st_mode & kOthersWrite) != 0) {
    report->Fail("permissions",
                 fmt::format("{} has mode {:04o} and owner {}: others than root may change images",
                             path, info.st_mode & 07777, info.st_uid),
                 fmt::format("chown root: {0}; chmod go-w {0}", path));
  }
}

void CheckRoot(const Patient& patient, Report* report) {
  const std::string& root = patient.plugin.root;
  if (::access(patient.host.At(root).c_str(), F_OK) != 0) {
    report->Warn("content-root", root + " is not there yet",
                 "start containerd once, or look whether `root` in plugin.yaml is right");
    return;
  }
  for (const char* folder : {"", "/blobs", "/blobs/sha256", "/ingest"}) {
    CheckFolder(patient.host, root + folder, report);
  }
  std::int64_t blobs = 0;
  std::int64_t strangers = 0;
  std::string example;
  const absl::Status status = ForEachBlob(patient.host.At(root), [&](const StoredBlob& blob) {
    ++blobs;
    if (blob.well_named && blob.regular) return;
    if (strangers++ == 0) example = blob.digest;
  });
  if (!status.ok()) {
    report->Warn("layout", std::string(base::Message(status)), "look whether `root` is right");
  } else if (strangers > 0) {
    report->Warn("layout", fmt::format("{} files below blobs are no blobs: {}", strangers, example),
                 "eaglectl store verify names them all; move them away");
  } else {
    report->Ok("content-root", fmt::format("{}, {} blobs", root, blobs));
  }
}

// The built-in store's folder, wherever containerd's own root is.
void CheckSameRoot(const Patient& patient, Report* report) {
  const ContainerdConfig* config = patient.host.effective();
  std::string containerd_root = patient.host.flavor().containerd_root;
  if (config != nullptr && !config->root.empty()) containerd_root = config->root;
  const std::string expected = containerd_root + "/io.containerd.content.v1.content";
  if (patient.plugin.root == expected) return;
  report->Warn("content-root",
               fmt::format("the plugin's root is {}, the built-in store's {}: images that are on "
                           "the node are not seen",
                           patient.plugin.root, expected),
               fmt::format("root: {} in plugin.yaml, and restart the plugin", expected));
}

// The nearest folder that is there.
std::string Existing(std::filesystem::path path) {
  while (::access(path.c_str(), F_OK) != 0 && path.has_relative_path()) path = path.parent_path();
  return path.string();
}

std::optional<std::uint64_t> MountOf(const std::string& path) {
  struct statx info {};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_MNT_ID, &info) != 0 ||
      (info.stx_mask & STATX_MNT_ID) == 0) {
    return std::nullopt;
  }
  return info.stx_mnt_id;
}

void CheckOneMount(const Patient& patient, Report* report) {
  const std::string& cache = patient.plugin.cache_dir;
  if (cache.empty()) {
    report->Warn("one-mount", "cache_dir is empty: there is no P2P", "name one in plugin.yaml");
    return;
  }
  const auto store = MountOf(Existing(patient.host.At(patient.plugin.root)));
  const auto cached = MountOf(Existing(patient.host.At(cache)));
  if (!store || !cached) {
    report->Warn("one-mount", "this kernel does not tell which mount a folder is on",
                 "see that root and cache_dir are on one: findmnt -T");
  } else if (*store != *cached) {
    report->Warn(
        "one-mount",
        fmt::format("{} and {} are on two mounts: a layer is copied instead of linked, and "
                    "takes its space twice",
                    patient.plugin.root, cache),
        "put cache_dir beside the content root, under one mount of unit and pod");
  } else {
    report->Ok("one-mount", fmt::format("cache {} and store can share files", cache));
  }
}

void CheckSpace(const Patient& patient, Report* report) {
  struct statvfs info {};
  const std::string path = Existing(patient.host.At(patient.plugin.root));
  if (::statvfs(path.c_str(), &info) != 0 || info.f_blocks == 0) return;
  const double free = static_cast<double>(info.f_bavail) / static_cast<double>(info.f_blocks);
  // Some file systems make inodes as they need them, and say 0.
  const double inodes =
      info.f_files == 0 ? 1.0
                        : static_cast<double>(info.f_favail) / static_cast<double>(info.f_files);
  const bool by_inodes = inodes < kLittleSpace && inodes < free;
  const double least = by_inodes ? inodes : free;
  const std::string message = fmt::format("{:.0f} % of the {} are free at {}", 100 * least,
                                          by_inodes ? "inodes" : "space", path);
  const std::string remedy =
      "remove images (crictl rmi --prune), or lower the sidecar's cache.limit";
  if ((info.f_flag & ST_RDONLY) != 0) {
    report->Fail("free-space", path + " is mounted read-only", "remount it read-write");
  } else if (least < kNoSpace) {
    report->Fail("free-space", message, remedy);
  } else if (least < kLittleSpace) {
    report->Warn("free-space", message, remedy);
  } else {
    report->Ok("free-space", message);
  }
}

}  // namespace

void CheckDisk(const Patient& patient, Report* report) {
  CheckRoot(patient, report);
  CheckSameRoot(patient, report);
  CheckOneMount(patient, report);
  CheckSpace(patient, report);
}

}  // namespace eagle::cli
