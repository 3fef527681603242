#include "e2e/differential/generator.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <random>
#include <utility>

#include "lib/base/digest.h"

namespace eagle::differential {
namespace {

constexpr int kContents = 5;
constexpr std::int64_t kMinScripts = 6;
constexpr std::int64_t kMaxScripts = 14;
// An odd one, beyond one message of a Read.
constexpr std::int64_t kLargeBytes = (1 << 20) + 70'001;
constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

class Generator {
 public:
  Generator(std::uint64_t seed, Surface surface) : random_(seed), surface_(surface) {
    sequence_.seed = seed;
    for (int i = 0; i < kContents; ++i) sequence_.contents.push_back(Content(seed, i));
    // One looks like a layer's, which the plugin treats in its own way; nobody has that layer.
    refs_ = {"one", "two/2", "layer-" + base::Digest::Of(fmt::format("no content {}", seed)).str(),
             "four four", std::string(300, '5')};
  }

  Sequence Generate() {
    // So that there is something to ask for.
    PutBlob(0);
    const auto scripts = Between(kMinScripts, kMaxScripts);
    for (std::int64_t i = 0; i < scripts; ++i) Script();
    sequence_.refs = refs_;
    return std::move(sequence_);
  }

 private:
  // Random choices; the standard's distributions differ between libraries.
  std::int64_t Between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(high - low + 1));
  }
  bool Chance(int percent) { return Between(1, 100) <= percent; }
  template <typename T>
  const T& Pick(const std::vector<T>& of) {
    return of[static_cast<std::size_t>(Between(0, static_cast<std::int64_t>(of.size()) - 1))];
  }
  int Space() { return Chance(20) ? Spaces(surface_) - 1 : 0; }

  std::string Content(std::uint64_t seed, int i) {
    const std::vector<std::int64_t> sizes{1, 10, 1'000, 40'000, 70'000};
    const std::int64_t size = i == 4 && Chance(25) ? kLargeBytes : Pick(sizes);
    std::string text = fmt::format("{}/{}/", seed, i);
    while (static_cast<std::int64_t>(text.size()) < size) {
      const std::uint64_t word = random_();
      text.append(reinterpret_cast<const char*>(&word), sizeof word);
    }
    return text;
  }
  [[nodiscard]] std::string Digest(int content) const {
    return base::Digest::Of(sequence_.contents[static_cast<std::size_t>(content)]).str();
  }
  [[nodiscard]] std::int64_t Size(int content) const {
    return static_cast<std::int64_t>(sequence_.contents[static_cast<std::size_t>(content)].size());
  }
  int AnyContent() { return static_cast<int>(Between(0, kContents - 1)); }

  void Add(Operation operation) {
    sequence_.operations.push_back(std::move(operation));
    if (Chance(15)) sequence_.operations.push_back(Question());
  }

  // Parts of streams.

  Operation Open(int slot, int content) {
    Operation open{.call = Call::kOpen, .space = Space(), .slot = slot, .content = content};
    // Mostly its own: another's ingest has another total, which is where the two stores part.
    const bool own = Chance(80);
    open.ref = own ? refs_[static_cast<std::size_t>(content)] : Pick(refs_);
    if (Chance(own ? 75 : 20)) open.total = Size(content);
    if (Chance(25)) open.expected = Digest(content);
    if (Chance(4)) open.total += Between(1, 3);
    if (Chance(12)) {
      open.first = Call::kWrite;
      open.bytes = Between(0, Size(content));
    } else if (Chance(4)) {
      open.first = Call::kCommit;
      open.bytes = Size(content);
    }
    if (open.first != Call::kStat && Chance(20)) open.at = Elsewhere();
    if (Chance(1)) open.ref.clear();
    if (Chance(2)) open.expected = "sha256:not-a-digest";
    return open;
  }

  // Up to the end of its content, in a few steps.
  void Writes(int slot, int content) {
    const auto steps = Between(1, 3);
    for (std::int64_t i = 0; i < steps; ++i) {
      Operation write{.call = Call::kWrite, .slot = slot, .content = content};
      write.bytes = i + 1 == steps ? kHuge : Between(1, Size(content));
      if (Chance(6)) write.at = Elsewhere();
      if (Chance(4)) write.bytes = 0;
      Add(write);
      if (Chance(20)) Add({.call = Call::kStat, .slot = slot});
    }
  }
  At Elsewhere() {
    return Pick(std::vector<At>{At::kZero, At::kZero, At::kLower, At::kHigher, At::kNegative});
  }

  void Commit(int slot, int content) {
    Operation commit{.call = Call::kCommit, .slot = slot, .content = content};
    commit.total = Size(content);
    commit.expected = Digest(content);
    if (Chance(25)) commit.labels = Labels();
    const auto kind = Between(1, 100);
    if (kind <= 8) commit.total += Chance(50) ? 1 : -1;
    if (kind > 8 && kind <= 16) commit.expected = Digest((content + 1) % kContents);
    if (kind > 16 && kind <= 26) commit.expected.clear();
    if (kind > 26 && kind <= 36) commit.total = 0;
    if (kind > 36 && kind <= 40) commit.at = Elsewhere();
    if (kind > 40 && kind <= 44) commit.expected = "sha256:not-a-digest";
    if (kind > 44 && kind <= 47) commit.bytes = 3;
    Add(commit);
    written_ = content;
  }

  void End(int slot) {
    const auto kind = Between(1, 10);
    if (kind <= 5) return Add({.call = Call::kClose, .slot = slot});
    if (kind <= 8) return Add({.call = Call::kKill, .slot = slot});
    Operation kill{.call = Call::kKillInFlight, .slot = slot, .content = AnyContent()};
    kill.bytes = Between(1, 100'000);
    Add(kill);
  }

  // Scripts.

  void PutBlob(int content) {
    const int slot = static_cast<int>(Between(0, kStreams - 1));
    Add({.call = Call::kClose, .slot = slot});
    Add(Open(slot, content));
    const auto stats = Between(0, 2);
    for (std::int64_t i = 0; i < stats; ++i) Add({.call = Call::kStat, .slot = slot});
    Writes(slot, content);
    Commit(slot, content);
  }

  // Stopped half-way, and taken up again under the same ref.
  void Resume() {
    const int content = AnyContent();
    const int slot = static_cast<int>(Between(0, kStreams - 1));
    Add({.call = Call::kClose, .slot = slot});
    Operation open = Open(slot, content);
    Add(open);
    Add({.call = Call::kWrite,
         .slot = slot,
         .content = content,
         .bytes = Between(1, Size(content))});
    End(slot);
    if (Chance(20)) Add({.call = Call::kAbort, .space = open.space, .ref = open.ref});
    if (Chance(6)) open.total = Size(content) + 5;
    open.first = Call::kStat;
    Add(open);
    if (Chance(70)) Add({.call = Call::kStat, .slot = slot});
    if (Chance(80)) Writes(slot, content);
    if (Chance(80)) return Commit(slot, content);
    End(slot);
  }

  // The second stream on a ref is refused; whoever has it goes on.
  void Contend() {
    const int content = AnyContent();
    Add({.call = Call::kClose, .slot = 0});
    Add({.call = Call::kClose, .slot = 1});
    Operation open = Open(0, content);
    open.first = Call::kStat;
    Add(open);
    open.slot = 1;
    Add(open);
    Writes(0, content);
    if (Chance(25)) Add({.call = Call::kAbort, .space = open.space, .ref = open.ref});
    if (Chance(50)) return Commit(0, content);
    End(0);
    Add(open);
  }

  // One digest through two refs.
  void Race() {
    const int content = AnyContent();
    for (int slot = 0; slot < 2; ++slot) {
      Add({.call = Call::kClose, .slot = slot});
      Add({.call = Call::kOpen,
           .space = slot == 0 ? 0 : Space(),
           .slot = slot,
           .ref = refs_[static_cast<std::size_t>(slot)],
           .total = Size(content)});
      Add({.call = Call::kWrite, .slot = slot, .content = content, .bytes = kHuge});
    }
    Commit(0, content);
    Commit(1, content);
  }

  void Script() {
    const auto kind = Between(1, 100);
    if (kind <= 30) return PutBlob(AnyContent());
    if (kind <= 55) return Resume();
    if (kind <= 62) return Contend();
    if (kind <= 72) return Race();
    const auto questions = Between(2, 5);
    for (std::int64_t i = 0; i < questions; ++i) Add(Question());
  }

  // Calls of one message.

  std::string AnyDigest() {
    if (Chance(60)) return Digest(written_);
    if (Chance(65)) return Digest(AnyContent());
    return Pick(std::vector<std::string>{base::Digest::Of("nobody has this").str(), "",
                                         "sha256:", "sha256:../../../etc/passwd", "sha1:ab",
                                         "sha256:" + std::string(64, 'A'), std::string(5000, 'x')});
  }
  std::string AnyRef() { return Chance(85) ? Pick(refs_) : "nobody has this"; }

  Operation Question() {
    Operation ask{.space = Space()};
    const auto kind = Between(1, 100);
    if (kind <= 18) {
      ask.call = Call::kInfo;
      ask.digest = AnyDigest();
    } else if (kind <= 40) {
      Read(&ask);
    } else if (kind <= 52) {
      Update(&ask);
    } else if (kind <= 66) {
      ask.call = Call::kList;
      ask.filters = Filters();
    } else if (kind <= 76) {
      ask.call = Call::kListStatuses;
      ask.filters = Filters();
    } else if (kind <= 86) {
      ask.call = Call::kStatus;
      ask.ref = AnyRef();
    } else if (kind <= 91) {
      ask.call = Call::kAbort;
      ask.ref = AnyRef();
    } else if (kind <= 97 || surface_ == Surface::kStore) {
      ask.call = Call::kDelete;
      ask.digest = AnyDigest();
    } else {
      ask.call = Call::kCollect;
    }
    return ask;
  }

  void Read(Operation* ask) {
    const int content = Chance(75) ? written_ : AnyContent();
    const std::int64_t end = Size(content);
    ask->call = Call::kRead;
    ask->digest = Chance(90) ? Digest(content) : AnyDigest();
    ask->offset = Pick(
        std::vector<std::int64_t>{0, 0, 0, 1, end / 2, end - 1, end, end + 1, -1, -kHuge, kHuge});
    ask->size = Pick(std::vector<std::int64_t>{0, 0, 1, 32'768, end, end + 1, -1, kHuge, 1 << 20,
                                               Between(1, end)});
  }

  std::map<std::string, std::string> Labels() {
    std::map<std::string, std::string> labels;
    const std::vector<std::string> keys{"k", "a.b/c", "containerd.io/gc.root", "empty", "x y"};
    const auto count = Between(0, 3);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::string& key = Pick(keys);
      labels[key] = key == "empty" ? "" : fmt::format("v{}", Between(1, 3));
    }
    // More than a label may have.
    if (Chance(5)) labels["k"] = std::string(5000, 'v');
    return labels;
  }

  void Update(Operation* ask) {
    ask->call = Call::kUpdate;
    ask->digest = AnyDigest();
    ask->labels = Labels();
    ask->paths = Pick(std::vector<std::vector<std::string>>{{},
                                                            {"labels"},
                                                            {"labels.k"},
                                                            {"labels.k", "labels.a.b/c"},
                                                            {"labels.none"},
                                                            {"labels", "labels.k"},
                                                            {"labels.k", "labels"},
                                                            {"size"},
                                                            {"labels.k", "digest"},
                                                            {""},
                                                            {"labels."},
                                                            {"created_at"}});
  }

  std::vector<std::string> Filters() {
    std::vector<std::string> filters;
    const auto kind = Between(1, 10);
    const auto count = kind <= 2 ? 0 : kind <= 8 ? 1 : 2;
    for (int i = 0; i < count; ++i) filters.push_back(Filter());
    return filters;
  }

  std::string Filter() {
    const std::string digest = Digest(AnyContent());
    const std::vector<std::string> good{"",
                                        "digest==" + digest,
                                        "digest!=" + digest,
                                        "digest~=^sha256:" + digest.substr(7, 2),
                                        "digest~=\"^sha256:[0-7]\"",
                                        "digest",
                                        "size",
                                        "size==1000",
                                        "size!=3",
                                        "labels",
                                        "labels.k",
                                        "labels.\"k\"==v1",
                                        "labels.k==\"v1\"",
                                        "labels.k!=v1",
                                        "labels.k~=^v[12]$",
                                        "labels.k~=/v[12]/",
                                        "labels.k~=|v.|",
                                        "labels.\"a.b/c\"==v2",
                                        "labels.a.\"b/c\"==v2",
                                        "labels.\"containerd.io/gc.root\"",
                                        "labels.k==v1,digest~=sha256",
                                        "labels.k, labels.empty",
                                        "labels.empty==\"\"",
                                        "digest.more==" + digest,
                                        "\"digest\"==" + digest,
                                        "labels.\"\\x6b\"==v1",
                                        "labels.\"\\u006b\"==v1",
                                        "labels.\"\\153\"==v1",
                                        " digest == " + digest,
                                        "ref==one",
                                        "ref~=^two",
                                        "ref!=one",
                                        "ref",
                                        "ref.x==one",
                                        "ref~=/two.2/",
                                        "nothing",
                                        "nothing!=x",
                                        "nothing~=.",
                                        "labels.\"x y\"==v1",
                                        "labels.k==\u00e9",
                                        "ref~=one|two"};
    const std::vector<std::string> bad{"digest==",
                                       "digest=" + digest,
                                       "digest===" + digest,
                                       "digest=!x",
                                       "labels..k",
                                       ".digest",
                                       "digest~=/x",
                                       " ",
                                       ",",
                                       "digest,",
                                       "digest==a b",
                                       "digest==a ",
                                       "digest==/x",
                                       "digest==|x|",
                                       "digest~=\"[\"",
                                       "digest~=*",
                                       "labels.\"k",
                                       "'digest'==x",
                                       "labels.k~=/a\\.b/",
                                       "labels.\"\\q\"",
                                       "labels.\"\\'\"",
                                       "labels.\"\\x1\"",
                                       "digest<x",
                                       "digest==x,,size",
                                       "/digest/==x",
                                       "digest==\"a\"b",
                                       "labels.k~=/v\\/1/",
                                       "digest~=x|",
                                       "-digest",
                                       "digest==\"\\xff",
                                       "ref ref",
                                       "labels.k==.v",
                                       "digest~=\"a\\d\"",
                                       std::string(3000, 'a') + "==" + std::string(3000, 'b')};
    return Chance(75) ? Pick(good) : Pick(bad);
  }

  std::mt19937_64 random_;
  const Surface surface_;
  std::vector<std::string> refs_;
  // What was committed last, or should have been.
  int written_ = 0;
  Sequence sequence_;
};

}  // namespace

Sequence Generate(std::uint64_t seed, Surface surface) {
  return Generator(seed, surface).Generate();
}

}  // namespace eagle::differential
