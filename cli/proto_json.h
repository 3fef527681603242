#pragma once

#include <google/protobuf/message.h>

namespace eagle::cli {

/// Prints a message as JSON with every field, under the names of the .proto file; the exit code.
int PrintJson(const google::protobuf::Message& message);

}  // namespace eagle::cli
