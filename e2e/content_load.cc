// eagle-e2e-load: load on a content service, for the benchmarks. Each verb prints one line of JSON.
//
//   read SOCKET DIGEST CHUNK SECONDS      one Read call after the other, as containerd unpacks
//   write SOCKET REF BYTES CHUNK          a new blob, committed; its digest is in the answer
//   list SOCKET                           a whole List
//   manifest SOCKET LAYERS LABEL VALUE    commits a manifest of so many layers that nobody has
//   hold SOCKET DIGEST...                 two STATs for each of these layers, until stdin ends
//   mix SOCKET DIGEST SECONDS             calls that containerd makes in its transactions, timed
//
// With EAGLE_NAMESPACE set the calls carry that namespace, for containerd's own socket.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "api/content/content.grpc.pb.h"
#include "lib/base/digest.h"
#include "lib/rpc/channel.h"

namespace {

namespace content = containerd::services::content::v1;
using content::Content;
using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr std::int64_t kLayerBytes = 10 << 20;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

[[noreturn]] void Fail(const std::string& what) {
  std::cerr << "load: " << what << '\n';
  std::exit(1);
}

void Check(const grpc::Status& status, const std::string& what) {
  if (!status.ok()) Fail(what + ": " + status.error_message());
}

/// A context for one call.
class Context {
 public:
  Context() {
    if (const char* name = std::getenv("EAGLE_NAMESPACE")) {
      context_.AddMetadata("containerd-namespace", name);
    }
  }
  grpc::ClientContext* get() { return &context_; }

 private:
  grpc::ClientContext context_;
};

std::string RandomBytes(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i + 8 <= size; i += 8) {
    const std::uint64_t word = random();
    std::copy_n(reinterpret_cast<const char*>(&word), 8, bytes.data() + i);
  }
  return bytes;
}

/// One message and its answer.
content::WriteContentResponse Exchange(
    grpc::ClientReaderWriter<content::WriteContentRequest, content::WriteContentResponse>& stream,
    const content::WriteContentRequest& request) {
  content::WriteContentResponse response;
  if (!stream.Write(request) || !stream.Read(&response)) {
    Fail("write: " + stream.Finish().error_message());
  }
  return response;
}

/// Writes and commits a blob as containerd does: STAT, WRITE in chunks, COMMIT. The label keeps it
/// from containerd's garbage collector.
void Put(Content::Stub& stub, const std::string& ref, const std::string& data, std::size_t chunk,
         const std::map<std::string, std::string>& labels = {}) {
  Context context;
  const auto stream = stub.Write(context.get());
  content::WriteContentRequest request;
  request.set_action(content::STAT);
  request.set_ref(ref);
  request.set_total(static_cast<std::int64_t>(data.size()));
  Exchange(*stream, request);
  for (std::size_t offset = 0; offset < data.size(); offset += chunk) {
    request.set_action(content::WRITE);
    request.set_offset(static_cast<std::int64_t>(offset));
    request.set_data(data.substr(offset, chunk));
    Exchange(*stream, request);
  }
  request.clear_data();
  request.set_action(content::COMMIT);
  request.set_offset(static_cast<std::int64_t>(data.size()));
  request.set_expected(eagle::base::Digest::Of(data).str());
  if (std::getenv("EAGLE_NAMESPACE") != nullptr) {
    (*request.mutable_labels())["containerd.io/gc.root"] = "benchmark";
    for (const auto& [key, value] : labels) (*request.mutable_labels())[key] = value;
  }
  Exchange(*stream, request);
  stream->WritesDone();
  // Finish() waits for ever when a message has not been read.
  for (content::WriteContentResponse rest; stream->Read(&rest);) {
  }
  Check(stream->Finish(), "commit");
}

std::size_t ReadOnce(Content::Stub& stub, const std::string& digest, std::int64_t offset,
                     std::int64_t size) {
  Context context;
  content::ReadContentRequest request;
  request.set_digest(digest);
  request.set_offset(offset);
  request.set_size(size);
  const auto reader = stub.Read(context.get(), request);
  std::size_t bytes = 0;
  content::ReadContentResponse response;
  while (reader->Read(&response)) bytes += response.data().size();
  Check(reader->Finish(), "read");
  return bytes;
}

std::int64_t SizeOf(Content::Stub& stub, const std::string& digest) {
  Context context;
  content::InfoRequest request;
  request.set_digest(digest);
  content::InfoResponse response;
  Check(stub.Info(context.get(), request, &response), "info");
  return response.info().size();
}

json Read(Content::Stub& stub, const std::string& digest, std::int64_t chunk, double seconds) {
  const std::int64_t size = SizeOf(stub, digest);
  const auto start = Clock::now();
  std::int64_t calls = 0;
  std::size_t bytes = 0;
  for (std::int64_t offset = 0; SecondsSince(start) < seconds; ++calls) {
    const std::int64_t wanted = std::min(chunk, size - offset);
    bytes += ReadOnce(stub, digest, offset, wanted);
    offset = offset + wanted == size ? 0 : offset + wanted;
  }
  return {{"calls", calls}, {"bytes", bytes}, {"seconds", SecondsSince(start)}};
}

json Write(Content::Stub& stub, const std::string& ref, std::size_t size, std::size_t chunk) {
  const std::string data = RandomBytes(size, std::random_device{}());
  const std::string digest = eagle::base::Digest::Of(data).str();
  const auto start = Clock::now();
  Put(stub, ref, data, chunk);
  return {{"bytes", size}, {"seconds", SecondsSince(start)}, {"digest", digest}};
}

json List(Content::Stub& stub) {
  Context context;
  const auto start = Clock::now();
  const auto reader = stub.List(context.get(), {});
  std::int64_t blobs = 0;
  content::ListContentResponse response;
  while (reader->Read(&response)) blobs += response.info_size();
  Check(reader->Finish(), "list");
  return {{"blobs", blobs}, {"seconds", SecondsSince(start)}};
}

json Manifest(Content::Stub& stub, int layers, const std::string& label, const std::string& value) {
  const std::uint64_t seed = std::random_device{}();
  json manifest = {{"schemaVersion", 2},
                   {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                   {"config",
                    {{"mediaType", "application/vnd.oci.image.config.v1+json"},
                     {"digest", eagle::base::Digest::Of("config").str()},
                     {"size", 6}}}};
  std::vector<std::string> digests;
  for (int i = 0; i < layers; ++i) {
    digests.push_back(
        eagle::base::Digest::Of(std::to_string(seed) + "/" + std::to_string(i)).str());
    manifest["layers"].push_back({{"mediaType", "application/vnd.oci.image.layer.v1.tar+gzip"},
                                  {"digest", digests.back()},
                                  {"size", kLayerBytes}});
  }
  const std::string data = manifest.dump();
  Put(stub, "manifest-" + eagle::base::Digest::Of(data).str(), data, data.size(), {{label, value}});
  return {{"digests", digests}};
}

/// Waits in the second STAT of each layer, on a stream each, until standard input ends.
json Hold(Content::Stub& stub, const std::vector<std::string>& digests) {
  const char* name = std::getenv("EAGLE_HOLD_NAMESPACE");
  std::vector<std::unique_ptr<Context>> contexts;
  std::vector<std::unique_ptr<
      grpc::ClientReaderWriter<content::WriteContentRequest, content::WriteContentResponse>>>
      streams;
  for (std::size_t i = 0; i < digests.size(); ++i) {
    contexts.push_back(std::make_unique<Context>());
    streams.push_back(stub.Write(contexts.back()->get()));
    content::WriteContentRequest request;
    request.set_action(content::STAT);
    request.set_ref(std::string(name ? name : "default") + "/" + std::to_string(i + 1) + "/layer-" +
                    digests[i]);
    request.set_total(kLayerBytes);
    Exchange(*streams.back(), request);
    if (!streams.back()->Write(request)) Fail("the second STAT was not taken");
  }
  std::cout << json{{"held", digests.size()}} << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
  }
  for (auto& context : contexts) context->get()->TryCancel();
  for (auto& stream : streams) (void)stream->Finish();
  return {{"released", digests.size()}};
}

/// Calls that containerd makes inside its transactions or under its garbage collector's lock.
class Mix {
 public:
  Mix(Content::Stub& stub, std::string digest) : stub_(stub), digest_(std::move(digest)) {}

  json Run(double seconds) {
    const auto start = Clock::now();
    while (SecondsSince(start) < seconds) Round();
    json result;
    for (auto& [name, times] : times_) {
      std::sort(times.begin(), times.end());
      result[name] = {
          {"calls", times.size()}, {"p50_ms", At(times, 0.5)}, {"p99_ms", At(times, 0.99)}};
    }
    return result;
  }

 private:
  void Round() {
    const std::string data = RandomBytes(4096, std::random_device{}());
    const std::string written = eagle::base::Digest::Of(data).str();
    const std::string missing = eagle::base::Digest::Of(written).str();
    const std::string ref = "mix/1/config-" + written;
    Time("info", [&] { (void)SizeOf(stub_, digest_); });
    Time("info_missing", [&] {
      Context context;
      content::InfoRequest request;
      request.set_digest(missing);
      content::InfoResponse response;
      (void)stub_.Info(context.get(), request, &response);
    });
    Time("read", [&] { (void)ReadOnce(stub_, digest_, 0, 32768); });
    Time("write_commit", [&] { Put(stub_, ref, data, data.size()); });
    Time("status", [&] {
      Context context;
      content::StatusRequest request;
      request.set_ref(ref);
      content::StatusResponse response;
      (void)stub_.Status(context.get(), request, &response);
    });
    Time("list_filtered", [&] {
      Context context;
      content::ListContentRequest request;
      request.add_filters("digest==" + written);
      const auto reader = stub_.List(context.get(), request);
      content::ListContentResponse response;
      while (reader->Read(&response)) {
      }
      Check(reader->Finish(), "list");
    });
    Time("delete", [&] {
      Context context;
      content::DeleteContentRequest request;
      request.set_digest(written);
      google::protobuf::Empty reply;
      Check(stub_.Delete(context.get(), request, &reply), "delete");
    });
    Time("abort", [&] {
      Context context;
      content::AbortRequest request;
      request.set_ref(ref);
      google::protobuf::Empty reply;
      (void)stub_.Abort(context.get(), request, &reply);
    });
  }

  void Time(const std::string& name, const std::function<void()>& call) {
    const auto start = Clock::now();
    call();
    const double milliseconds = SecondsSince(start) * 1000;
    times_[name].push_back(milliseconds);
    times_["all"].push_back(milliseconds);
  }

  static double At(const std::vector<double>& sorted, double share) {
    return sorted[std::min(sorted.size() - 1,
                           static_cast<std::size_t>(share * static_cast<double>(sorted.size())))];
  }

  Content::Stub& stub_;
  const std::string digest_;
  std::map<std::string, std::vector<double>> times_;
};

json Run(const std::vector<std::string>& arguments) {
  const std::string& verb = arguments[0];
  const std::size_t count = arguments.size();
  Content::Stub stub(eagle::rpc::MakeChannel("unix:" + arguments[1]));
  if (verb == "read" && count == 5) {
    return Read(stub, arguments[2], std::stoll(arguments[3]), std::stod(arguments[4]));
  }
  if (verb == "write" && count == 5) {
    return Write(stub, arguments[2], std::stoull(arguments[3]), std::stoull(arguments[4]));
  }
  if (verb == "list" && count == 2) return List(stub);
  if (verb == "manifest" && count == 5) {
    return Manifest(stub, std::stoi(arguments[2]), arguments[3], arguments[4]);
  }
  if (verb == "hold" && count > 2) return Hold(stub, {arguments.begin() + 2, arguments.end()});
  if (verb == "mix" && count == 4) return Mix(stub, arguments[2]).Run(std::stod(arguments[3]));
  Fail("bad arguments; the verbs are at the top of e2e/content_load.cc");
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 2) Fail("usage: eagle-e2e-load VERB SOCKET ...");
  std::cout << Run(arguments) << std::endl;
}
