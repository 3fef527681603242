// Containerd's own applier decides what is right: the same layers through both, trees compared
// entry by entry. $EAGLE_APPLY_CASES and $EAGLE_APPLY_SEED choose the random ones. With
// $EAGLE_APPLY_WORKER, a program that runs this one within a sandbox, each layer is unpacked by a
// worker process there.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "lib/base/file.h"
#include "lib/testing/temp_dir.h"
#include "plugin/apply/apply_worker.h"
#include "plugin/apply/media_type.h"
#include "plugin/apply/pipeline.h"
#include "plugin/apply/testing/containerd_oracle.h"
#include "plugin/apply/testing/random_layer.h"
#include "plugin/apply/testing/tar_builder.h"
#include "plugin/apply/testing/tree_snapshot.h"
#include "plugin/apply/worker_client.h"

namespace eagle::apply {
namespace {

using testing::ContainerdOracle;
using testing::Gzip;
using testing::TarBuilder;
using testing::Zstd;

absl::StatusOr<ApplyResult> ApplyHere(const std::string& blob, const std::string& media_type,
                                      const std::vector<Mount>& mounts) {
  eagle::testing::TempDir dir;
  std::ofstream(dir.path() + "/blob") << blob;
  std::filesystem::create_directory(dir.path() + "/mnt");
  EAGLE_ASSIGN_OR_RETURN(const base::UniqueFd fd, base::OpenFile(dir.path() + "/blob", O_RDONLY));
  EAGLE_ASSIGN_OR_RETURN(const Compression compression, CompressionOf(media_type));
  const Cancellation cancellation;
  const ApplyRequest request{.compression = compression, .mounts = mounts};
  if (const char* worker = std::getenv("EAGLE_APPLY_WORKER")) {
    return WorkerClient({.program = worker, .mount_root = dir.path() + "/mnt"})
        .Apply(request, fd.get(), cancellation);
  }
  return ApplyLayer(fd.get(), request, dir.path() + "/mnt", cancellation);
}

class Differential : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (::geteuid() != 0) return;
    auto started = ContainerdOracle::Start();
    ASSERT_TRUE(started.ok()) << started.status();
    oracle_ = std::move(*started);
    std::cout << "oracle: " << oracle_->program() << '\n';
  }
  static void TearDownTestSuite() { oracle_.reset(); }

  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    ASSERT_NE(oracle_, nullptr) << "no containerd to compare with: make deps installs one";
  }

  std::string Side(const std::string& side, const std::string& what) const {
    const std::string path = dir_.path() + "/" + side + "/" + what;
    std::filesystem::create_directories(path);
    return path;
  }

  std::vector<Mount> Overlay(const std::string& side) const {
    return {{"overlay",
             "overlay",
             "",
             {"index=off", "workdir=" + Side(side, "work"), "upperdir=" + Side(side, "upper"),
              "lowerdir=" + Side(side, "lower2") + ":" + Side(side, "lower1")}}};
  }
  std::vector<Mount> Bind(const std::string& side) const {
    return {{"bind", Side(side, "upper"), "", {"rw", "rbind"}}};
  }

  // The same tree on both sides, even when an error ends it.
  void Prepare(const std::string& what, const std::string& archive) {
    for (const char* side : {"left", "right"}) {
      (void)ApplyHere(archive, std::string(kUncompressedLayer),
                      {{"bind", Side(side, what), "", {"rbind"}}});
    }
  }

  void Reset() {
    std::filesystem::remove_all(dir_.path() + "/left");
    std::filesystem::remove_all(dir_.path() + "/right");
  }

  // True when both appliers took the layer. What a bad archive leaves behind must be equal, too.
  bool Compare(const std::string& blob, const std::string& media_type, bool overlay) {
    const auto theirs = oracle_->Apply(blob, media_type, overlay ? Overlay("left") : Bind("left"));
    const auto ours = ApplyHere(blob, media_type, overlay ? Overlay("right") : Bind("right"));
    EXPECT_EQ(theirs.ok(), ours.ok())
        << "theirs: " << theirs.status() << "\nours: " << ours.status();
    if (theirs.ok() && ours.ok()) {
      EXPECT_EQ(theirs->digest, ours->digest);
      EXPECT_EQ(theirs->size_bytes, ours->size_bytes);
    } else if (absl::IsDataLoss(ours.status())) {
      // How far a damaged stream gets is a matter of buffers.
      return false;
    }
    const auto differences = testing::Differences(testing::SnapshotTree(Side("left", "upper")),
                                                  testing::SnapshotTree(Side("right", "upper")));
    for (const std::string& line : differences) ADD_FAILURE() << line;
    if (HasFailure()) std::cout << theirs.status() << "\n" << ours.status() << "\n";
    return theirs.ok();
  }

  static std::unique_ptr<ContainerdOracle> oracle_;
  eagle::testing::TempDir dir_;
};

std::unique_ptr<ContainerdOracle> Differential::oracle_;

std::uint64_t Cases() {
  const char* number = std::getenv("EAGLE_APPLY_CASES");
  return number == nullptr ? 100 : std::strtoull(number, nullptr, 10);
}

std::uint64_t FirstSeed() {
  const char* number = std::getenv("EAGLE_APPLY_SEED");
  return number == nullptr ? 1 : std::strtoull(number, nullptr, 10);
}

TEST_F(Differential, RandomLayersGiveTheSameTreeInAnOverlay) {
  std::uint64_t taken = 0;
  for (std::uint64_t seed = FirstSeed(); seed < FirstSeed() + Cases(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Prepare("lower1", testing::RandomLayer(seed / 8 * 2 + 1'000'000'007));
    Prepare("lower2", testing::RandomLayer(seed / 8 * 2 + 1'000'000'008));
    taken += Compare(testing::RandomLayer(seed), std::string(kUncompressedLayer), true) ? 1 : 0;
    Reset();
    if (HasFailure()) break;
  }
  std::cout << taken << " of " << Cases() << " layers unpacked\n";
}

TEST_F(Differential, RandomLayersGiveTheSameTreeInABindMount) {
  std::uint64_t taken = 0;
  for (std::uint64_t seed = FirstSeed(); seed < FirstSeed() + Cases(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Prepare("upper", testing::RandomLayer(seed / 8 * 2 + 2'000'000'011));
    taken += Compare(testing::RandomLayer(seed), std::string(kUncompressedLayer), false) ? 1 : 0;
    Reset();
    if (HasFailure()) break;
  }
  std::cout << taken << " of " << Cases() << " layers unpacked\n";
}

// Layers for what chance seldom makes.
std::vector<std::pair<std::string, std::string>> NotableLayers() {
  const std::string capability("\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  std::string gnu = TarBuilder::Header({.name = "gnu"});
  gnu.replace(257, 8, std::string("ustar  \0", 8));
  gnu.replace(345, 12, std::string("15000000000\0", 12));
  TarBuilder::SetChecksum(&gnu);
  std::string old_go = gnu;
  old_go.replace(345, 12, std::string("pre/fix\0\0\0\0\0", 12));
  TarBuilder::SetChecksum(&old_go);
  std::string map = "2\n1024\n3\n70000\n4\n";
  map.resize(512, '\0');
  return {
      {"formats",
       TarBuilder().Bytes(gnu).Bytes(old_go).Add({.type = '\0', .name = "v7/"}).Finish()},
      {"long names", TarBuilder()
                         .Add({.type = 'L', .name = "x", .data = std::string(200, 'a') + '\0'})
                         .Add({.type = 'K', .name = "x", .data = std::string(300, 'b')})
                         .Symlink("s", "t")
                         .File(std::string(120, 'c') + "/" + std::string(120, 'd'))
                         .Finish()},
      {"name too long", TarBuilder().File("a").File(std::string(256, 'n')).Finish()},
      {"sparse", TarBuilder()
                     .Add({.name = "s",
                           .data = map + "abcdefg",
                           .pax = {{"GNU.sparse.major", "1"},
                                   {"GNU.sparse.minor", "0"},
                                   {"GNU.sparse.name", "real"},
                                   {"GNU.sparse.realsize", "100000"}}})
                     .Finish()},
      {"old sparse", TarBuilder().Add({.type = 'S', .name = "s"}).Finish()},
      {"capability", TarBuilder()
                         .Add({.name = "f",
                               .mode = 06755,
                               .uid = 1000,
                               .pax = {{"SCHILY.xattr.security.capability", capability}}})
                         .HardLink("h", "f")
                         .Finish()},
      {"acl", TarBuilder()
                  .Add({.type = '5',
                        .name = "d",
                        .pax = {{"SCHILY.xattr.system.posix_acl_default",
                                 std::string("\2\0\0\0\1\0\7\0\377\377\377\377\4\0\5\0\377\377"
                                             "\377\377\40\0\0\0\377\377\377\377",
                                             28)}}})
                  .File("d/f")
                  .Dir("d/sub", 0777)
                  .File("d/sub2/g")
                  .Finish()},
      {"global",
       TarBuilder()
           .File("pax", "removed")
           .Add({.type = 'g', .name = "pax", .data = TarBuilder::PaxRecord("uid", "3")})
           .Add({.type = 'g', .name = "x", .data = TarBuilder::PaxRecord("path", "made/by/global")})
           .File("f")
           .Finish()},
      {"unknown type", TarBuilder().File("a").Add({.type = '7', .name = "x"}).Finish()},
      {"unknown whiteout", TarBuilder().Add({.type = '7', .name = ".wh.x"}).File("b").Finish()},
      {"bad pax",
       TarBuilder().File("a").Add({.type = 'x', .name = "p", .data = "6 a=b\n"}).Finish()},
      {"big numbers", TarBuilder().Add({.name = "a", .uid = (1LL << 32) + 5, .gid = -1}).Finish()},
      {"mknod", TarBuilder()
                    .Add({.type = '3', .name = "zero", .mode = 0666, .major = 0, .minor = 0})
                    .Add({.type = '4', .name = "big", .major = 4095, .minor = 1048575})
                    .Finish()},
      {"escape", TarBuilder().Symlink("l", "/../../tmp").File("l/../x/f").File("../../y").Finish()},
      {"no end", TarBuilder().File("a", "x").WithoutEnd()},
      {"half a block", TarBuilder().File("a", "x").WithoutEnd() + std::string(100, '\0')},
      {"truncated", TarBuilder().File("a", std::string(5000, 'x')).WithoutEnd().substr(0, 2000)},
      {"tail", TarBuilder().File("a").Finish() + std::string(70'000, 't')},
      {"empty", ""},
      {"garbage", std::string(2000, 'g')},
  };
}

TEST_F(Differential, NotableLayersGiveTheSameTree) {
  for (const auto& [name, tar] : NotableLayers()) {
    for (const bool overlay : {true, false}) {
      SCOPED_TRACE(name);
      Compare(tar, std::string(kUncompressedLayer), overlay);
      Reset();
    }
  }
}

TEST_F(Differential, CompressedLayersGiveTheSameTree) {
  const std::string tar = TarBuilder().Dir("d").File("d/f", std::string(200'000, 'x')).Finish();
  const std::string gzip = Gzip(tar);
  const std::string zstd = Zstd(tar);
  const std::string half = Gzip(tar.substr(0, 777)) + Gzip(tar.substr(777));
  const std::string skippable("\x5f\x2a\x4d\x18\3\0\0\0toc", 11);
  const std::vector<std::pair<std::string, std::string>> layers = {
      {"application/vnd.oci.image.layer.v1.tar+gzip", gzip},
      {"application/vnd.oci.image.layer.v1.tar+gzip", half},
      {"application/vnd.oci.image.layer.v1.tar+gzip", tar},
      {"application/vnd.oci.image.layer.v1.tar+gzip", zstd},
      {"application/vnd.oci.image.layer.v1.tar+gzip", gzip.substr(0, gzip.size() - 3)},
      {"application/vnd.oci.image.layer.v1.tar+gzip", ""},
      {"application/vnd.oci.image.layer.v1.tar", gzip},
      {"application/vnd.oci.image.layer.v1.tar+zstd", zstd + skippable + Zstd("tail")},
      {"application/vnd.oci.image.layer.v1.tar+zstd", skippable + zstd},
      {"application/vnd.oci.image.layer.v1.tar+zstd", zstd + "trailing garbage"},
      {"application/vnd.oci.image.layer.v1.tar+zstd", zstd.substr(0, zstd.size() - 3)},
      {"application/vnd.docker.image.rootfs.diff.tar.gzip", gzip},
      {"application/vnd.docker.image.rootfs.diff.tar", gzip},
      {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", gzip},
  };
  for (std::size_t i = 0; i < layers.size(); ++i) {
    SCOPED_TRACE(std::to_string(i));
    Compare(layers[i].second, layers[i].first, true);
    Reset();
  }
}

}  // namespace
}  // namespace eagle::apply

int main(int argc, char** argv) {
  if (const auto exit_code = eagle::apply::RunApplyWorker(argc, argv)) return *exit_code;
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
