// eagle-e2e-cri: pulls images the way the kubelet does, for the end-to-end tests.
//
// Exit codes: 0 done, 1 the call failed, 2 bad usage, 3 status: no such image.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <iostream>
#include <string>

#include "api/cri/cri.grpc.pb.h"
#include "lib/rpc/channel.h"

namespace {

using runtime::v1::ImageService;

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kAbsent = 3;
constexpr std::chrono::minutes kDeadline{5};

int Report(const grpc::Status& status) {
  if (status.ok()) return 0;
  std::cerr << "CRI: code " << status.error_code() << ": " << status.error_message() << '\n';
  return kFailed;
}

int Pull(ImageService::Stub& stub, grpc::ClientContext& context, const std::string& image) {
  runtime::v1::PullImageRequest request;
  request.mutable_image()->set_image(image);
  runtime::v1::PullImageResponse response;
  const int code = Report(stub.PullImage(&context, request, &response));
  if (code == 0) std::cout << response.image_ref() << '\n';
  return code;
}

int Status(ImageService::Stub& stub, grpc::ClientContext& context, const std::string& image) {
  runtime::v1::ImageStatusRequest request;
  request.mutable_image()->set_image(image);
  runtime::v1::ImageStatusResponse response;
  if (const int code = Report(stub.ImageStatus(&context, request, &response)); code != 0) {
    return code;
  }
  if (!response.has_image()) return kAbsent;
  std::cout << response.image().id() << ' ' << response.image().size() << '\n';
  return 0;
}

int Remove(ImageService::Stub& stub, grpc::ClientContext& context, const std::string& image) {
  runtime::v1::RemoveImageRequest request;
  request.mutable_image()->set_image(image);
  runtime::v1::RemoveImageResponse response;
  return Report(stub.RemoveImage(&context, request, &response));
}

int List(ImageService::Stub& stub, grpc::ClientContext& context) {
  runtime::v1::ListImagesResponse response;
  const int code = Report(stub.ListImages(&context, {}, &response));
  for (const auto& image : response.images()) {
    for (const auto& tag : image.repo_tags()) std::cout << tag << '\n';
  }
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  const bool needs_image = verb == "pull" || verb == "status" || verb == "remove";
  if (argc != (needs_image ? 4 : 3) || !(needs_image || verb == "list")) {
    std::cerr << "usage: eagle-e2e-cri pull|status|remove SOCKET IMAGE\n"
                 "       eagle-e2e-cri list SOCKET\n";
    return kUsage;
  }
  ImageService::Stub stub(eagle::rpc::MakeChannel(std::string("unix:") + argv[2]));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  if (verb == "pull") return Pull(stub, context, argv[3]);
  if (verb == "status") return Status(stub, context, argv[3]);
  if (verb == "remove") return Remove(stub, context, argv[3]);
  return List(stub, context);
}
