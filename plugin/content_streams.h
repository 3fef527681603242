#pragma once

#include <grpcpp/grpcpp.h>

#include "api/content/content.grpc.pb.h"
#include "plugin/content_service.h"

namespace eagle::plugin {

// The reactors of the content service's streaming calls. Each deletes itself when its call is done.

grpc::ServerWriteReactor<containerd::services::content::v1::ListContentResponse>* NewListStream(
    const ContentParts& parts,
    const containerd::services::content::v1::ListContentRequest& request);

grpc::ServerWriteReactor<containerd::services::content::v1::ReadContentResponse>* NewReadStream(
    const ContentParts& parts,
    const containerd::services::content::v1::ReadContentRequest& request);

grpc::ServerBidiReactor<containerd::services::content::v1::WriteContentRequest,
                        containerd::services::content::v1::WriteContentResponse>*
NewWriteStream(const ContentParts& parts);

}  // namespace eagle::plugin
