#include "lib/process/run.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <iostream>
#include <thread>

#include "lib/observe/build_info.h"
#include "lib/observe/log.h"
#include "lib/process/systemd.h"

namespace eagle::process {
namespace {

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

void Reload(App& app) {
  NotifySystemd(ReloadingState());
  if (const absl::Status status = app.Reload(); !status.ok()) {
    observe::Error("reload_refused", "error", base::Message(status), "in_force", "as before");
  }
  NotifySystemd("READY=1");
}

using TimePoint = std::chrono::steady_clock::time_point;

// The signal that came, 0 when none did until `due`.
int AwaitSignal(const sigset_t& signals, TimePoint due) {
  while (true) {
    const auto left = std::max(std::chrono::nanoseconds(0),
                               std::chrono::nanoseconds(due - std::chrono::steady_clock::now()));
    const timespec timeout{.tv_sec = left.count() / 1'000'000'000,
                           .tv_nsec = left.count() % 1'000'000'000};
    const int signal = ::sigtimedwait(&signals, nullptr, &timeout);
    if (signal > 0) return signal;
    if (errno == EAGAIN) return 0;
  }
}

// Reloads and feeds the watchdog until a signal to stop comes, which is returned.
int Serve(App& app, const sigset_t& signals) {
  const auto watchdog = WatchdogTimeout();
  // Without a watchdog nothing is due, ever.
  const std::chrono::milliseconds period = watchdog ? *watchdog / 3 : std::chrono::hours(1);
  TimePoint due = std::chrono::steady_clock::now() + period;
  while (true) {
    const int signal = AwaitSignal(signals, due);
    if (signal == SIGHUP) {
      Reload(app);
      continue;
    }
    if (signal != 0) return signal;
    due = std::chrono::steady_clock::now() + period;
    if (!watchdog) continue;
    const absl::Status alive = app.CheckAlive(*watchdog / 4);
    if (alive.ok()) {
      NotifySystemd("WATCHDOG=1");
    } else {
      observe::Error("not_alive", "error", base::Message(alive));
    }
  }
}

}  // namespace

absl::Status App::Reload() {
  return absl::UnimplementedError("its configuration is read at the start only; restart it");
}

absl::Status App::CheckAlive(std::chrono::milliseconds /*patience*/) {
  return absl::OkStatus();
}

int Run(int argc, char** argv, const Program& program) {
  int exit_code = 0;
  const auto flags = ParseFlags(argc, argv, program.name, program.description, &exit_code);
  if (!flags) return exit_code == 0 ? 0 : 2;
  if (absl::Status status = program.load(flags->config_path); !status.ok()) {
    std::cerr << base::Message(status) << '\n';
    return 2;
  }
  if (flags->check_config) {
    std::cout << flags->config_path << ": ok\n";
    return 0;
  }

  // Blocked before any thread starts, so that only the waits below see them.
  const sigset_t stop_signals = StopSignals();
  sigset_t signals = stop_signals;
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  auto app = program.start();
  if (!app.ok()) {
    observe::Error("start_failed", "error", base::Message(app.status()));
    return 1;
  }
  observe::Info("started", "version", observe::Version());
  NotifySystemd("READY=1");

  const int signal = Serve(**app, signals);
  observe::Info("stopping", "signal", signal == SIGTERM ? "SIGTERM" : "SIGINT");
  NotifySystemd("STOPPING=1");
  std::thread([stop_signals] {
    int again = 0;
    sigwait(&stop_signals, &again);
    _exit(1);
  }).detach();
  app->reset();
  observe::Info("stopped");
  return 0;
}

}  // namespace eagle::process
