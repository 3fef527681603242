#pragma once

#include <chrono>

#include "api/content/content.pb.h"
#include "plugin/content_store.h"
#include "plugin/filter.h"
#include "plugin/ingest_store.h"
#include "plugin/write_session.h"

namespace eagle::plugin {

// Between our types and the content service's messages.

void FillTime(std::chrono::system_clock::time_point time, google::protobuf::Timestamp* out);
void FillInfo(const BlobInfo& info, containerd::services::content::v1::Info* out);
void FillStatus(const IngestStatus& status, containerd::services::content::v1::Status* out);
void FillReply(const WriteSession::Reply& reply,
               containerd::services::content::v1::WriteContentResponse* out);
/// Takes the data out of the message.
WriteSession::Request TakeRequest(containerd::services::content::v1::WriteContentRequest* message);

/// The fields that filters can name: digest and labels (there are none) of a blob, ref of an
/// ingest.
Filter::Fields FieldsOf(const BlobInfo& info);
Filter::Fields FieldsOf(const IngestStatus& status);

}  // namespace eagle::plugin
