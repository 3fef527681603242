#include "cli/proto_json.h"

#include <google/protobuf/util/json_util.h>

#include <iostream>
#include <string>

#include "cli/exit_code.h"

namespace eagle::cli {

int PrintJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return kFailed;
  std::cout << text;
  return kDone;
}

}  // namespace eagle::cli
