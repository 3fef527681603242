# Third-party libraries, all of them Debian packages (packaging/dependencies.txt).
#
# Most programs link the shared libraries. The plugin must start on any Linux host, so it links
# archives: a target with the property EAGLE_STATIC gets those of absl, gRPC, protobuf, OpenSSL and
# yaml-cpp instead. The interface targets below choose by that property of the program being linked.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(absl REQUIRED)
find_package(Protobuf CONFIG QUIET)
if(NOT Protobuf_FOUND)
  find_package(Protobuf REQUIRED)
endif()
find_package(gRPC CONFIG REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(GTest REQUIRED)
find_package(CURL REQUIRED)
pkg_check_modules(LIBTORRENT REQUIRED IMPORTED_TARGET libtorrent-rasterbar)

set(eagle_static "$<BOOL:$<TARGET_PROPERTY:EAGLE_STATIC>>")

function(eagle_find_archives out)
  set(found)
  foreach(name IN LISTS ARGN)
    find_library(archive_${name} lib${name}.a REQUIRED)
    list(APPEND found ${archive_${name}})
  endforeach()
  set(${out} ${found} PARENT_SCOPE)
endfunction()

get_filename_component(eagle_library_dir ${OPENSSL_CRYPTO_LIBRARY} DIRECTORY)
file(GLOB absl_archives ${eagle_library_dir}/libabsl_*.a)
eagle_find_archives(grpc_archives grpc++_reflection grpc++ grpc gpr upb address_sorting cares re2
                    protobuf ssl crypto z)
eagle_find_archives(crypto_archive crypto)
eagle_find_archives(yaml_archive yaml-cpp)
eagle_find_archives(re2_archive re2)
eagle_find_archives(cares_archive cares)
eagle_find_archives(zlib_archive z)
eagle_find_archives(zstd_archive zstd)
# Built by packaging/install-isal.sh where it can be; Debian has the shared library only.
find_library(isal_archive libisal.a)

function(eagle_interface name)
  cmake_parse_arguments(arg "" "" "SHARED;STATIC" ${ARGN})
  add_library(eagle_${name} INTERFACE)
  target_link_libraries(eagle_${name} INTERFACE "$<$<NOT:${eagle_static}>:${arg_SHARED}>"
                                                "$<${eagle_static}:${arg_STATIC}>")
endfunction()

string(REPLACE ";" "," absl_group "${absl_archives}")
string(REPLACE ";" "," grpc_group "${grpc_archives};${absl_archives}")
eagle_interface(absl
  SHARED "absl::status;absl::statusor;absl::strings;absl::synchronization;absl::flat_hash_map"
  STATIC "$<LINK_GROUP:RESCAN,${absl_group}>")
eagle_interface(grpc
  SHARED "gRPC::grpc++_reflection;gRPC::grpc++;protobuf::libprotobuf"
  STATIC "$<LINK_GROUP:RESCAN,${grpc_group}>")
eagle_interface(crypto SHARED OpenSSL::Crypto STATIC "${crypto_archive}")
eagle_interface(yaml SHARED yaml-cpp STATIC "${yaml_archive}")
eagle_interface(re2 SHARED re2 STATIC "${re2_archive}")
eagle_interface(cares SHARED cares STATIC "${cares_archive}")
eagle_interface(zlib SHARED z STATIC "${zlib_archive}")
eagle_interface(zstd SHARED zstd STATIC "${zstd_archive}")

add_library(eagle_isal INTERFACE)
if(isal_archive)
  target_compile_definitions(eagle_isal INTERFACE EAGLE_HAVE_ISAL)
  target_link_libraries(eagle_isal INTERFACE "${isal_archive}")
endif()

add_library(eagle_grpc_headers ALIAS eagle_grpc)

# fmt and spdlog are used header-only, so that static programs need no archive of them.
add_library(eagle_fmt INTERFACE)
target_compile_definitions(eagle_fmt INTERFACE FMT_HEADER_ONLY SPDLOG_FMT_EXTERNAL)

add_library(eagle_asio INTERFACE)
target_compile_definitions(eagle_asio INTERFACE BOOST_ASIO_DISABLE_CO_AWAIT)
if(EAGLE_SANITIZE MATCHES "thread")
  # The thread sanitizer does not know fences, and gcc warns of each; Asio's locks order enough.
  target_compile_definitions(eagle_asio INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
endif()
target_link_libraries(eagle_asio INTERFACE Threads::Threads)
