#include "cli/preheat_command.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "api/seeder/seeder.grpc.pb.h"
#include "cli/exit_code.h"
#include "cli/proto_json.h"
#include "lib/rpc/channel.h"

namespace eagle::cli {
namespace {

namespace api = eagle::seeder::v1;

constexpr int kBarWidth = 30;
constexpr double kMiB = 1024.0 * 1024.0;
constexpr std::chrono::seconds kBetweenLines{5};
constexpr std::chrono::seconds kPatience{30};

std::string Describe(const api::PreheatProgress& now) {
  if (!now.last_failure().empty() && now.state() == api::PreheatProgress::QUEUED) {
    return fmt::format("is tried again soon: {}", now.last_failure());
  }
  if (now.state() == api::PreheatProgress::QUEUED) return "queued";
  if (now.layers_total() == 0) {
    return now.state() == api::PreheatProgress::DONE ? "has no layers" : "reading the manifest";
  }
  return fmt::format("{} of {} layers, {:.1f} of {:.1f} MiB", now.layers_done(), now.layers_total(),
                     static_cast<double>(now.bytes_done()) / kMiB,
                     static_cast<double>(now.bytes_total()) / kMiB);
}

std::string Bar(const api::PreheatProgress& now) {
  const double share = now.bytes_total() > 0 ? static_cast<double>(now.bytes_done()) /
                                                   static_cast<double>(now.bytes_total())
                                             : 0;
  const int full = std::clamp(static_cast<int>(share * kBarWidth), 0, kBarWidth);
  return fmt::format("[{}{}]", std::string(static_cast<std::size_t>(full), '#'),
                     std::string(static_cast<std::size_t>(kBarWidth - full), ' '));
}

// Shows what comes in: one line that changes on a terminal, else a line every few seconds.
class Display {
 public:
  explicit Display(bool silent) : silent_(silent), terminal_(::isatty(STDOUT_FILENO) == 1) {}

  void Show(const api::PreheatProgress& now) {
    if (silent_) return;
    const auto time = std::chrono::steady_clock::now();
    const bool done = now.state() == api::PreheatProgress::DONE;
    if (terminal_) {
      // Back to the line's beginning; what was longer before is wiped out.
      std::cout << fmt::format("\r{} {}\x1b[K", Bar(now), Describe(now)) << std::flush;
      open_line_ = true;
    } else if (done || now.state() != state_ || time >= next_line_) {
      std::cout << fmt::format("{}: {}{}\n", now.image(), done ? "done, " : "", Describe(now))
                << std::flush;
      next_line_ = time + kBetweenLines;
    }
    state_ = now.state();
  }
  void Close() {
    if (open_line_) std::cout << '\n';
  }

 private:
  const bool silent_;
  const bool terminal_;
  bool open_line_ = false;
  int state_ = -1;
  std::chrono::steady_clock::time_point next_line_;
};

}  // namespace

int Preheat(const PreheatCall& call) {
  api::PreheatRequest request;
  request.set_image(call.image);
  for (const std::string& platform : call.platforms) request.add_platforms(platform);
  request.set_wait(call.wait);
  grpc::ClientContext context;
  if (!call.wait) context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const auto stub = api::Seeder::NewStub(rpc::MakeChannel(call.address));
  const auto reader = stub->Preheat(&context, request);
  api::PreheatProgress last;
  Display display(call.json);
  while (reader->Read(&last)) display.Show(last);
  display.Close();
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return SeederFailed(call.address, status);
  return call.json ? PrintJson(last) : kDone;
}

}  // namespace eagle::cli
