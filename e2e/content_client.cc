// eagle-e2e-content: speaks the content service to a plugin's socket message by message, for the
// end-to-end tests.
//
// Exit codes: 0 done, 1 a call failed, 2 bad usage, 3 NOT_FOUND.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "api/content/content.grpc.pb.h"
#include "lib/rpc/channel.h"

namespace {

namespace content = containerd::services::content::v1;
using content::Content;

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kNotFound = 3;
constexpr std::chrono::minutes kDeadline{1};

constexpr char kUsageText[] =
    "usage: eagle-e2e-content info SOCKET DIGEST\n"
    "       eagle-e2e-content list SOCKET\n"
    "       eagle-e2e-content statuses SOCKET\n"
    "       eagle-e2e-content delete SOCKET DIGEST\n"
    "       eagle-e2e-content abort SOCKET REF\n"
    "       eagle-e2e-content write SOCKET REF TOTAL STEP...\n"
    "The steps of one Write stream, each of which prints its answer:\n"
    "  stat | write:OFFSET:FILE | commit:DIGEST | pause (until a line comes on standard input)\n";

int Report(const grpc::Status& status) {
  if (status.ok()) return 0;
  std::cerr << "content: code " << status.error_code() << ": " << status.error_message() << '\n';
  return status.error_code() == grpc::StatusCode::NOT_FOUND ? kNotFound : kFailed;
}

int Info(Content::Stub& stub, grpc::ClientContext& context, const std::string& digest) {
  content::InfoRequest request;
  request.set_digest(digest);
  content::InfoResponse response;
  const int code = Report(stub.Info(&context, request, &response));
  if (code == 0) std::cout << response.info().digest() << ' ' << response.info().size() << '\n';
  return code;
}

int List(Content::Stub& stub, grpc::ClientContext& context) {
  const auto reader = stub.List(&context, {});
  content::ListContentResponse response;
  while (reader->Read(&response)) {
    for (const auto& info : response.info()) {
      std::cout << info.digest() << ' ' << info.size() << '\n';
    }
  }
  return Report(reader->Finish());
}

int Statuses(Content::Stub& stub, grpc::ClientContext& context) {
  content::ListStatusesResponse response;
  const int code = Report(stub.ListStatuses(&context, {}, &response));
  for (const auto& status : response.statuses()) {
    std::cout << status.ref() << ' ' << status.offset() << ' ' << status.total() << '\n';
  }
  return code;
}

int Delete(Content::Stub& stub, grpc::ClientContext& context, const std::string& digest) {
  content::DeleteContentRequest request;
  request.set_digest(digest);
  google::protobuf::Empty response;
  return Report(stub.Delete(&context, request, &response));
}

int Abort(Content::Stub& stub, grpc::ClientContext& context, const std::string& ref) {
  content::AbortRequest request;
  request.set_ref(ref);
  google::protobuf::Empty response;
  return Report(stub.Abort(&context, request, &response));
}

/// The message that a step stands for; nothing when it is malformed.
std::optional<content::WriteContentRequest> ParseStep(const std::string& step) {
  content::WriteContentRequest request;
  if (step == "stat") {
    request.set_action(content::STAT);
    return request;
  }
  if (step.rfind("commit:", 0) == 0) {
    request.set_action(content::COMMIT);
    request.set_expected(step.substr(7));
    return request;
  }
  const std::size_t colon = step.find(':', 6);
  if (step.rfind("write:", 0) != 0 || colon == std::string::npos) return std::nullopt;
  std::ifstream file(step.substr(colon + 1), std::ios::binary);
  if (!file) return std::nullopt;
  request.set_action(content::WRITE);
  request.set_offset(std::strtoll(step.c_str() + 6, nullptr, 10));
  request.set_data(std::string(std::istreambuf_iterator<char>(file), {}));
  return request;
}

int Write(Content::Stub& stub, grpc::ClientContext& context, const std::string& ref,
          std::int64_t total, const std::vector<std::string>& steps) {
  const auto stream = stub.Write(&context);
  for (const auto& step : steps) {
    if (step == "pause") {
      std::string line;
      std::getline(std::cin, line);
      continue;
    }
    auto request = ParseStep(step);
    if (!request) {
      std::cerr << "bad step " << step << '\n' << kUsageText;
      return kUsage;
    }
    request->set_ref(ref);
    request->set_total(total);
    content::WriteContentResponse response;
    if (!stream->Write(*request) || !stream->Read(&response)) break;
    std::cout << step.substr(0, step.find(':')) << " offset=" << response.offset()
              << " total=" << response.total() << " digest=" << response.digest() << std::endl;
  }
  stream->WritesDone();
  content::WriteContentResponse rest;
  while (stream->Read(&rest)) {
  }
  return Report(stream->Finish());
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::string verb = arguments.empty() ? "" : arguments[0];
  const bool named = verb == "info" || verb == "delete" || verb == "abort";
  const bool bare = verb == "list" || verb == "statuses";
  if (!(named && argc == 4) && !(bare && argc == 3) && !(verb == "write" && argc >= 6)) {
    std::cerr << kUsageText;
    return kUsage;
  }
  Content::Stub stub(eagle::rpc::MakeChannel("unix:" + arguments[1]));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  if (verb == "info") return Info(stub, context, arguments[2]);
  if (verb == "delete") return Delete(stub, context, arguments[2]);
  if (verb == "abort") return Abort(stub, context, arguments[2]);
  if (verb == "list") return List(stub, context);
  if (verb == "statuses") return Statuses(stub, context);
  return Write(stub, context, arguments[2], std::strtoll(arguments[3].c_str(), nullptr, 10),
               {arguments.begin() + 4, arguments.end()});
}
