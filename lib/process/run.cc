#include "lib/process/run.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>
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

}  // namespace

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

  // Blocked before any thread starts, so that only the wait below sees them.
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  auto app = program.start();
  if (!app.ok()) {
    observe::Error("start_failed", "error", base::Message(app.status()));
    return 1;
  }
  observe::Info("started", "version", observe::Version());
  NotifySystemd("READY=1");

  int signal = 0;
  sigwait(&signals, &signal);
  observe::Info("stopping", "signal", signal == SIGTERM ? "SIGTERM" : "SIGINT");
  NotifySystemd("STOPPING=1");
  std::thread([signals] {
    int again = 0;
    sigwait(&signals, &again);
    _exit(1);
  }).detach();
  app->reset();
  observe::Info("stopped");
  return 0;
}

}  // namespace eagle::process
