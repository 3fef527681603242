#include "plugin/testing/hostile_sidecar.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <thread>

#include "lib/base/file.h"
#include "plugin/testing/fake_sidecar.h"
#include "plugin/testing/node.h"

namespace eagle::plugin::testing {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using Layer = eagle::node::v1::Layer;

constexpr unsigned int kNobody = 65534;
constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

std::string HexOf(const Layer& layer) {
  return layer.digest().substr(layer.digest().find(':') + 1);
}

void Report(const char* what) {
  std::printf("%s\n", what);
  std::fflush(stdout);
}

void SayNothingFor(milliseconds time) {
  std::this_thread::sleep_for(time);
}

// What a process without root can try on an inode whose name it owns.
void AttackInode(const std::string& path, int open_before) {
  const std::string again = "/proc/self/fd/" + std::to_string(open_before);
  const bool broke_in =
      ::open(path.c_str(), O_WRONLY | O_CLOEXEC) >= 0 ||
      ::open(path.c_str(), O_RDONLY | O_TRUNC | O_CLOEXEC) >= 0 ||
      ::open(again.c_str(), O_RDWR | O_CLOEXEC) >= 0 || ::chmod(path.c_str(), 0666) == 0 ||
      ::truncate(path.c_str(), 0) == 0 || ::ftruncate(open_before, 0) == 0 ||
      ::pwrite(open_before, "x", 1, 0) == 1 || ::fchmod(open_before, 0666) == 0 ||
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open_before, 0) != MAP_FAILED;
  Report(broke_in ? "BROKE IN" : "kept out");
}

class Plays {
 public:
  Plays(FakeSidecar& sidecar, std::string cache_dir)
      : sidecar_(sidecar), blobs_(std::move(cache_dir) + "/blobs") {}

  [[nodiscard]] FakeSidecar::Play Find(const std::string& name) {
    const std::map<std::string, void (Plays::*)(const Layer&, FakeSidecar::Transfer&)> plays = {
        {"attacks-after-the-answer", &Plays::AttacksAfterTheAnswer},
        {"keeps-a-descriptor", &Plays::KeepsADescriptor},
        {"keeps-a-mapping", &Plays::KeepsAMapping},
        {"swaps-names", &Plays::SwapsNames},
        {"resizes", &Plays::Resizes},
        {"flips-bytes", &Plays::FlipsBytes},
        {"names-others", &Plays::NamesOthers},
        {"wild-numbers", &Plays::WildNumbers},
        {"floods", &Plays::Floods},
        {"never-ends", &Plays::NeverEnds},
        {"says-nothing", &Plays::SaysNothing},
        {"trickles", &Plays::Trickles},
        {"talks-on", &Plays::TalksOn},
        {"shouts", &Plays::Shouts},
        {"says-done", &Plays::SaysDone}};
    const auto found = plays.find(name);
    if (found == plays.end()) return nullptr;
    return [this, play = found->second](const Layer& layer, FakeSidecar::Transfer& transfer) {
      (this->*play)(layer, transfer);
    };
  }

 private:
  [[nodiscard]] std::string PathOf(const Layer& layer) const { return blobs_ + "/" + HexOf(layer); }
  static void Done(const Layer& layer, FakeSidecar::Transfer& transfer) {
    transfer.Done(HexOf(layer), layer.size(), 0);
  }

  void SaysDone(const Layer& layer, FakeSidecar::Transfer& transfer) { Done(layer, transfer); }

  void AttacksAfterTheAnswer(const Layer& layer, FakeSidecar::Transfer& transfer) {
    const int before = ::open(PathOf(layer).c_str(), O_RDONLY | O_CLOEXEC);
    Done(layer, transfer);
    // It hangs up once it has heard; the inode is taken over after that.
    (void)transfer.AwaitCancelled();
    struct stat info {};
    while (::fstat(before, &info) == 0 && info.st_nlink < 2) SayNothingFor(milliseconds(1));
    AttackInode(PathOf(layer), before);
  }

  void KeepsADescriptor(const Layer& layer, FakeSidecar::Transfer& transfer) {
    const int fd = ::open(PathOf(layer).c_str(), O_RDWR | O_CLOEXEC);
    Done(layer, transfer);
    (void)transfer.AwaitCancelled();
    SayNothingFor(milliseconds(800));
    (void)!::pwrite(fd, "overwritten", 11, 0);
  }

  void KeepsAMapping(const Layer& layer, FakeSidecar::Transfer& transfer) {
    const int fd = ::open(PathOf(layer).c_str(), O_RDWR | O_CLOEXEC);
    void* map = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    Done(layer, transfer);
    (void)transfer.AwaitCancelled();
    SayNothingFor(milliseconds(800));
    static_cast<char*>(map)[0] = 'X';
  }

  // The good file and a bad one take turns at the name, as fast as they can.
  void SwapsNames(const Layer& layer, FakeSidecar::Transfer& transfer) {
    const std::string path = PathOf(layer);
    const std::string bad = path + ".bad";
    fs::copy_file(path, bad);
    std::fstream(bad, std::ios::in | std::ios::out | std::ios::binary) << "bad";
    std::atomic<bool> over = false;
    std::thread swapper([&] {
      while (!over) ::renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, bad.c_str(), RENAME_EXCHANGE);
    });
    Done(layer, transfer);
    (void)transfer.AwaitCancelled();
    SayNothingFor(milliseconds(100));
    over = true;
    swapper.join();
  }

  void Resizes(const Layer& layer, FakeSidecar::Transfer& transfer) {
    std::atomic<bool> over = false;
    const std::string path = PathOf(layer);
    std::thread resizer([&] {
      while (!over) {
        (void)!::truncate(path.c_str(), layer.size() - 1);
        (void)!::truncate(path.c_str(), layer.size() + 1);
        (void)!::truncate(path.c_str(), layer.size());
      }
    });
    Done(layer, transfer);
    (void)transfer.AwaitCancelled();
    SayNothingFor(milliseconds(100));
    over = true;
    resizer.join();
  }

  // Opens, writes and closes all the time: bad bytes now, good ones then.
  void FlipsBytes(const Layer& layer, FakeSidecar::Transfer& transfer) {
    std::atomic<bool> over = false;
    const std::string path = PathOf(layer);
    const int reader = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    char good = 0;
    (void)!::pread(reader, &good, 1, 1000);
    const char bad = static_cast<char>(good + 1);
    std::thread flipper([&] {
      for (int i = 0; !over; ++i) {
        const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0) continue;
        (void)!::pwrite(fd, i % 2 == 0 ? &bad : &good, 1, 1000);
        ::close(fd);
      }
    });
    Done(layer, transfer);
    (void)transfer.AwaitCancelled();
    SayNothingFor(milliseconds(100));
    over = true;
    flipper.join();
  }

  void NamesOthers(const Layer&, FakeSidecar::Transfer& transfer) {
    static const std::vector<std::string> kNames = {"",
                                                    ".",
                                                    "..",
                                                    "../../../etc/passwd",
                                                    "/etc/passwd",
                                                    "../blobs/x",
                                                    std::string(1 << 20, 'a'),
                                                    std::string("a\0b", 3)};
    transfer.Done(kNames[next_name_++ % kNames.size()], 0, 0);
  }

  void WildNumbers(const Layer& layer, FakeSidecar::Transfer& transfer) {
    for (const std::int64_t number : {kHuge, -kHuge - 1, std::int64_t{-1}, layer.size() + 1}) {
      transfer.Progress(number, number);
      transfer.AtOrigin(number);
    }
    transfer.Done(HexOf(layer), kHuge, kHuge);
  }

  void Floods(const Layer& layer, FakeSidecar::Transfer& transfer) {
    for (int i = 0; i < 200'000 && !transfer.Cancelled(); ++i) {
      transfer.Progress(i % layer.size(), i % layer.size());
    }
    Done(layer, transfer);
  }

  void NeverEnds(const Layer&, FakeSidecar::Transfer& transfer) {
    Report("asked");
    while (!transfer.Cancelled()) {
      transfer.Progress(1, 1);
      SayNothingFor(milliseconds(50));
    }
    Report("let go of");
  }

  void SaysNothing(const Layer&, FakeSidecar::Transfer& transfer) {
    Report("asked");
    Report(transfer.AwaitCancelled() ? "let go of" : "waited for");
  }

  void Trickles(const Layer&, FakeSidecar::Transfer& transfer) {
    for (int i = 0; !transfer.Cancelled(); ++i) {
      transfer.Progress(i, i);
      SayNothingFor(milliseconds(100));
    }
    Report("let go of");
  }

  void TalksOn(const Layer& layer, FakeSidecar::Transfer& transfer) {
    Done(layer, transfer);
    while (!transfer.Cancelled()) {
      transfer.Fail(eagle::node::v1::Failed::INTERNAL);
      transfer.Progress(0, 0);
      transfer.Done("another", -1, -1);
    }
  }

  void Shouts(const Layer&, FakeSidecar::Transfer& transfer) {
    transfer.Done(std::string(20 << 20, 'a'), 0, 0);
  }

  FakeSidecar& sidecar_;
  const std::string blobs_;
  std::atomic<std::size_t> next_name_{0};
};

}  // namespace

int RunHostileSidecar(int argc, char** argv) {
  if (argc != 5) return 2;
  const std::string play = argv[2];
  const std::string socket = argv[3];
  const std::string cache_dir = argv[4];
  if (::setgroups(0, nullptr) != 0 || ::setresgid(kNobody, kNobody, kNobody) != 0 ||
      ::setresuid(kNobody, kNobody, kNobody) != 0) {
    std::perror("giving up root");
    return 1;
  }
  FakeSidecar sidecar("unix:" + socket, cache_dir);
  Plays plays(sidecar, cache_dir);
  auto found = plays.Find(play);
  if (found == nullptr) return 2;
  sidecar.SetPlay(std::move(found));
  Report("A FAKE SIDECAR for tests: ready");
  while (true) ::pause();
}

}  // namespace eagle::plugin::testing
