#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "lib/base/file.h"
#include "lib/testing/temp_dir.h"
#include "plugin/ingest_store.h"
#include "plugin/testing/fault_file_system.h"

// Every call by which the store changes the disk fails once, in every way, in every one of some
// scripts; then the store is opened again.
namespace eagle::plugin {
namespace {

using testing::FaultDisk;
using Fault = testing::FaultDisk::Fault;
using Loss = testing::FaultDisk::Loss;

constexpr char kFirstBoot[] = "first boot";
constexpr char kSecondBoot[] = "second boot";
const std::atomic<bool> kNever = false;

std::string Bytes(char of, std::size_t size) {
  std::string bytes;
  while (bytes.size() < size) bytes += fmt::format("{}{} ", of, bytes.size());
  return bytes;
}
const std::string kOne = Bytes('a', 5000);
const std::string kTwo = Bytes('b', 3000);
const std::string kLayer = Bytes('c', 9000);

std::int64_t Size(const std::string& content) {
  return static_cast<std::int64_t>(content.size());
}
BlobName NameOf(const std::string& content) {
  return BlobName(base::Digest::Of(content));
}

// A node's folders, a store on them, and what the store has promised.
struct Node {
  explicit Node(const std::string& folder) : root(folder + "/root"), cached(folder + "/layer") {
    std::filesystem::create_directories(root);
    std::ofstream(cached, std::ios::binary) << kLayer;
    ::chmod(cached.c_str(), 0444);
  }

  absl::Status Open(std::unique_ptr<FileSystem> system, const std::string& boot) {
    Close();
    EAGLE_ASSIGN_OR_RETURN(store, ContentStore::Open(root, std::move(system)));
    EAGLE_ASSIGN_OR_RETURN(ingests, IngestStore::Open(*store, boot));
    return absl::OkStatus();
  }
  void Close() {
    ingests.reset();
    store.reset();
  }
  [[nodiscard]] VerifiedFile Layer() const {
    VerifiedFile file;
    file.fd = *base::OpenFile(cached, O_RDONLY);
    file.digest = base::Digest::Of(kLayer);
    file.size_bytes = Size(kLayer);
    return file;
  }

  const std::string root;
  const std::string cached;
  std::unique_ptr<ContentStore> store;
  std::unique_ptr<IngestStore> ingests;
  std::set<std::string> committed;
};

absl::Status Commit(Node& node, Ingest& ingest, const std::string& content) {
  const absl::Status status = ingest.Commit(Size(content), NameOf(content).str());
  if (status.ok() || absl::IsAlreadyExists(status)) node.committed.insert(content);
  return absl::IsAlreadyExists(status) ? absl::OkStatus() : status;
}

// As containerd does it, from where an earlier stream has stopped.
absl::Status Put(Node& node, const std::string& ref, const std::string& content) {
  EAGLE_ASSIGN_OR_RETURN(const auto ingest, node.ingests->OpenIngest(ref, Size(content), ""));
  EAGLE_RETURN_IF_ERROR(ingest->HashExisting(kNever));
  const auto rest = content.substr(static_cast<std::size_t>(ingest->offset()));
  EAGLE_RETURN_IF_ERROR(ingest->Append(rest.substr(0, rest.size() / 2)));
  EAGLE_RETURN_IF_ERROR(ingest->Append(rest.substr(rest.size() / 2)));
  EAGLE_RETURN_IF_ERROR(ingest->Sync());
  return Commit(node, *ingest, content);
}

absl::Status WriteAndCommit(Node& node) {
  return Put(node, "one", kOne);
}

absl::Status Resume(Node& node) {
  {
    EAGLE_ASSIGN_OR_RETURN(const auto ingest, node.ingests->OpenIngest("one", Size(kOne), ""));
    if (ingest->offset() == 0) EAGLE_RETURN_IF_ERROR(ingest->Append(kOne.substr(0, 1234)));
  }
  return Put(node, "one", kOne);
}

// A layer out of the cache, and bytes behind such a layer: the cache's file must not get them.
absl::Status Link(Node& node) {
  const auto adopt = [&](const std::string& ref) -> absl::StatusOr<std::unique_ptr<Ingest>> {
    EAGLE_ASSIGN_OR_RETURN(auto ingest, node.ingests->OpenIngest(ref, 0, ""));
    if (ingest->offset() > 0) EAGLE_RETURN_IF_ERROR(ingest->Truncate());
    EAGLE_RETURN_IF_ERROR(ingest->Adopt(node.Layer(), kNever).status());
    return ingest;
  };
  EAGLE_ASSIGN_OR_RETURN(const auto longer, adopt("longer"));
  EAGLE_RETURN_IF_ERROR(longer->Append(kTwo));
  EAGLE_RETURN_IF_ERROR(Commit(node, *longer, kLayer + kTwo));
  EAGLE_ASSIGN_OR_RETURN(const auto layer, adopt("layer"));
  return Commit(node, *layer, kLayer);
}

absl::Status Delete(Node& node) {
  EAGLE_RETURN_IF_ERROR(Put(node, "one", kOne));
  // From here on it may be there or not.
  node.committed.erase(kOne);
  EAGLE_RETURN_IF_ERROR(node.store->Delete(NameOf(kOne)));
  return Put(node, "two", kTwo);
}

absl::Status StartOverAndAbort(Node& node) {
  EAGLE_RETURN_IF_ERROR(node.ingests->OpenIngest("aborted", 0, "").status());
  EAGLE_RETURN_IF_ERROR(node.ingests->Abort("aborted"));
  // Another total is another upload.
  EAGLE_RETURN_IF_ERROR(node.ingests->OpenIngest("one", Size(kOne) + 1, "").status());
  EAGLE_ASSIGN_OR_RETURN(const auto ingest, node.ingests->OpenIngest("one", Size(kOne), ""));
  EAGLE_RETURN_IF_ERROR(ingest->Append(kTwo));
  EAGLE_RETURN_IF_ERROR(ingest->Truncate());
  EAGLE_RETURN_IF_ERROR(ingest->Append(kOne));
  EAGLE_RETURN_IF_ERROR(ingest->Sync());
  return Commit(node, *ingest, kOne);
}

struct Script {
  std::string name;
  std::function<absl::Status(Node&)> run;
  bool links = true;
};
void PrintTo(const Script& script, std::ostream* out) {
  *out << script.name;
}

class StoreFault : public ::testing::TestWithParam<Script> {
 protected:
  // Some thousand stores are made and removed: not on a disk, where there is memory for them.
  static void SetUpTestSuite() {
    if (std::filesystem::is_directory("/dev/shm")) ::setenv("TMPDIR", "/dev/shm", 0);
  }

  // Runs the script against a disk that meets a fault at call `n`; false when there is none so far
  // on.
  bool RunWithFault(Node& node, FaultDisk& disk, std::int64_t n, Fault fault) {
    if (!GetParam().links) disk.ForbidLinks();
    disk.FailAt(n, fault);
    status_ = node.Open(disk.Connect(), kFirstBoot);
    if (status_.ok()) status_ = GetParam().run(node);
    node.Close();
    return disk.failed().has_value();
  }

  // All blobs are what they are called, and all that was promised is there.
  static void ExpectSound(Node& node) {
    std::set<std::string> names;
    ASSERT_TRUE(node.store
                    ->Walk([&](const BlobInfo& info) {
                      const auto bytes = base::ReadFile(node.store->PathOf(info.name));
                      EXPECT_EQ(NameOf(bytes.value_or("unreadable")).str(), info.name.str());
                      names.insert(info.name.str());
                      return true;
                    })
                    .ok());
    for (const std::string& content : node.committed) {
      EXPECT_TRUE(names.contains(NameOf(content).str())) << "a committed blob is lost";
    }
    EXPECT_EQ(*base::ReadFile(node.cached), kLayer);
  }

  // Nothing that was left behind is in the way, or stays.
  void ExpectGoesOn(Node& node, const std::string& boot) {
    ASSERT_TRUE(node.Open(std::make_unique<HostFileSystem>(), boot).ok());
    ExpectSound(node);
    EXPECT_EQ(GetParam().run(node), absl::OkStatus());
    ASSERT_TRUE(node.Open(std::make_unique<HostFileSystem>(), boot).ok());
    ExpectSound(node);
    EXPECT_TRUE(std::filesystem::is_empty(node.root + "/ingest"));
    node.Close();
  }

  absl::Status status_;
};

// Tidying up after a blob is in its place; what is left is removed at the next start.
bool MayBeSwallowed(const std::string& call, const std::string& root) {
  return call.rfind("touch ", 0) == 0 || call.rfind("unlink ", 0) == 0 ||
         call.rfind("rmdir ", 0) == 0 || call.rfind("rename " + root + "/ingest/", 0) == 0;
}

TEST_P(StoreFault, EveryErrorIsToldAndLeavesASoundStore) {
  for (const Fault fault : {Fault::kNoSpace, Fault::kIoError, Fault::kShortWrite}) {
    bool met = true;
    for (std::int64_t n = 0; met; ++n) {
      eagle::testing::TempDir folder;
      Node node(folder.path());
      FaultDisk disk(node.root);
      met = RunWithFault(node, disk, n, fault);
      SCOPED_TRACE(fmt::format("call {}: {}", n, disk.failed().value_or("none")));
      if (!met || status_.ok()) {
        EXPECT_TRUE(status_.ok()) << status_;
        EXPECT_TRUE(!met || MayBeSwallowed(*disk.failed(), node.root)) << "swallowed";
      } else {
        EXPECT_EQ(status_.code(), fault == Fault::kIoError ? absl::StatusCode::kInternal
                                                           : absl::StatusCode::kResourceExhausted)
            << status_;
        EXPECT_THAT(std::string(base::Message(status_)),
                    ::testing::HasSubstr(fault == Fault::kIoError ? "kernel's log" : "free space"));
      }
      ExpectGoesOn(node, kFirstBoot);
      if (HasFailure()) return;
    }
  }
}

TEST_P(StoreFault, ALossOfPowerAtAnyCallLosesNoCommittedBlob) {
  for (const Loss loss :
       {Loss::kEverything, Loss::kZeros, Loss::kLargeZeros, Loss::kTails, Loss::kNothing}) {
    bool met = true;
    for (std::int64_t n = 0; met; ++n) {
      eagle::testing::TempDir folder;
      Node node(folder.path());
      FaultDisk disk(node.root);
      met = RunWithFault(node, disk, n, Fault::kPowerLoss);
      SCOPED_TRACE(fmt::format("call {}: {}", n, disk.failed().value_or("none")));
      EXPECT_TRUE(met || status_.ok()) << status_;
      disk.LosePower(loss);
      ExpectGoesOn(node, loss == Loss::kNothing ? kFirstBoot : kSecondBoot);
      if (HasFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Scripts, StoreFault,
                         ::testing::Values(Script{"WriteAndCommit", WriteAndCommit},
                                           Script{"Resume", Resume}, Script{"Link", Link},
                                           Script{"Copy", Link, false}, Script{"Delete", Delete},
                                           Script{"StartOverAndAbort", StartOverAndAbort}),
                         [](const auto& script) { return script.param.name; });

}  // namespace
}  // namespace eagle::plugin
