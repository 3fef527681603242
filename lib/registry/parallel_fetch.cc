#include "lib/registry/parallel_fetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace eagle::registry {
namespace {

constexpr absl::Duration kCancellationPoll = absl::Milliseconds(50);
constexpr std::int64_t kPartsPerConnection = 2;

}  // namespace

ParallelFetch::ParallelFetch(const BlobSource::Shared& shared, Plan plan,
                             const RetryOptions& retries, Deliver deliver,
                             Cancellation& cancellation)
    : shared_(shared),
      plan_(std::move(plan)),
      retries_(retries),
      deliver_(std::move(deliver)),
      cancellation_(cancellation),
      parts_((plan_.end - plan_.begin + plan_.part_bytes - 1) / plan_.part_bytes) {}

void ParallelFetch::Fail(const absl::Status& status) {
  const absl::MutexLock held(&mutex_);
  if (failure_.ok()) failure_ = status;
  stopping_ = true;
}

std::optional<ParallelFetch::Part> ParallelFetch::Take() {
  const absl::MutexLock held(&mutex_);
  const std::int64_t window = kPartsPerConnection * plan_.connections;
  const auto may_go_on = [&] {
    return stopping_ || next_ == parts_ || next_ < delivered_ + window;
  };
  mutex_.Await(absl::Condition(&may_go_on));
  if (stopping_ || next_ == parts_) return std::nullopt;
  Part part;
  part.index = next_++;
  part.first = plan_.begin + part.index * plan_.part_bytes;
  part.last = std::min(part.first + plan_.part_bytes, plan_.end) - 1;
  return part;
}

absl::Status ParallelFetch::TakeHead(const ResponseHead& head, const Part& part,
                                     std::int64_t first) {
  const auto range = ContentRange::Parse(head.content_range);
  if (head.status == 206 && range.ok() && range->first == first && range->last == part.last &&
      range->total == plan_.end) {
    return absl::OkStatus();
  }
  const absl::MutexLock held(&mutex_);
  no_ranges_ = true;
  return absl::UnavailableError("the registry does not answer with the range that was asked for");
}

absl::Status ParallelFetch::FetchPart(BlobSource& source, const Part& part, std::string* bytes,
                                      Cancellation& cancellation) {
  Retries retries(retries_);
  const std::int64_t size = part.last - part.first + 1;
  bytes->reserve(static_cast<std::size_t>(size));
  while (true) {
    const auto before = static_cast<std::int64_t>(bytes->size());
    const std::int64_t first = part.first + before;
    const BlobSource::Reply reply{
        [&](const ResponseHead& head, const HttpUrl&, bool*) {
          return TakeHead(head, part, first);
        },
        [&](std::string_view data) {
          if (static_cast<std::int64_t>(bytes->size() + data.size()) > size) {
            return absl::Status(absl::UnavailableError("the registry sent more than it announced"));
          }
          bytes->append(data);
          return absl::OkStatus();
        }};
    SourceResult result = source.Get({first, part.last, ""}, "", reply, cancellation);
    if (result.status.ok()) {
      if (static_cast<std::int64_t>(bytes->size()) == size) return absl::OkStatus();
      result.status = absl::UnavailableError("the registry ended its answer early");
      result.retry = true;
    }
    if (!result.retry) return result.status;
    const auto delay =
        retries.Failed(static_cast<std::int64_t>(bytes->size()) - before, result.retry_after);
    if (!delay) {
      return base::Annotate(result.status,
                            fmt::format("gave up after {} attempts", retries.failures()));
    }
    if (!cancellation.Sleep(*delay)) return absl::CancelledError("the fetch was cancelled");
  }
}

void ParallelFetch::Work(Cancellation& cancellation) {
  BlobSource source(shared_, plan_.repository, plan_.target, "", BlobSource::Redirects::kRemember);
  while (const auto part = Take()) {
    std::string bytes;
    if (const absl::Status status = FetchPart(source, *part, &bytes, cancellation); !status.ok()) {
      return Fail(status);
    }
    const absl::MutexLock held(&mutex_);
    ready_[part->index] = std::move(bytes);
  }
}

ParallelFetch::End ParallelFetch::DeliverAll() {
  for (std::int64_t index = 0; index < parts_; ++index) {
    std::string bytes;
    {
      const absl::MutexLock held(&mutex_);
      const auto there = [&] { return stopping_ || ready_.contains(index); };
      while (!mutex_.AwaitWithTimeout(absl::Condition(&there), kCancellationPoll)) {
        if (cancellation_.cancelled()) break;
      }
      if (cancellation_.cancelled()) {
        return {absl::CancelledError("the fetch was cancelled"), false, true};
      }
      const auto it = ready_.find(index);
      if (it == ready_.end()) return {failure_, no_ranges_, false};
      bytes = std::move(it->second);
      ready_.erase(it);
    }
    if (const absl::Status status = deliver_(bytes); !status.ok()) return {status, false, true};
    const absl::MutexLock held(&mutex_);
    delivered_ = index + 1;
  }
  return {};
}

ParallelFetch::End ParallelFetch::Run() {
  std::deque<Cancellation> cancellations(static_cast<std::size_t>(plan_.connections));
  std::vector<std::thread> workers;
  for (Cancellation& cancellation : cancellations) {
    workers.emplace_back([this, &cancellation] { Work(cancellation); });
  }
  End end = DeliverAll();
  {
    const absl::MutexLock held(&mutex_);
    stopping_ = true;
  }
  for (Cancellation& cancellation : cancellations) cancellation.Cancel();
  for (std::thread& worker : workers) worker.join();
  return end;
}

}  // namespace eagle::registry
