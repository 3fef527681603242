#include "lib/blob/blob_index.h"

#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include <filesystem>
#include <map>
#include <string_view>
#include <utility>

#include "lib/observe/log.h"

namespace eagle::blob {
namespace {

constexpr char kState = 'b';
constexpr char kMetainfo = 'm';
constexpr char kResumeData = 'r';
constexpr char kLastUsed = 'u';
constexpr std::string_view kVersionKey = "version";
constexpr std::string_view kVersion = "1";

std::string Key(char kind, const base::Digest& digest) {
  std::string key(1, kind);
  key.append(reinterpret_cast<const char*>(digest.bytes().data()), base::Digest::kSizeBytes);
  return key;
}

rocksdb::Slice AsSlice(std::string_view text) {
  return {text.data(), text.size()};
}

absl::Status FromRocksDb(const rocksdb::Status& status, std::string_view what) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = fmt::format("{}: {}", what, status.ToString());
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(text);
  if (status.IsCorruption()) return absl::DataLossError(text);
  return absl::InternalError(text);
}

rocksdb::Options DatabaseOptions() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = 8 << 20;
  options.max_total_wal_size = 16 << 20;
  options.max_open_files = 64;
  options.keep_log_file_num = 2;
  options.info_log_level = rocksdb::WARN_LEVEL;
  options.compression = rocksdb::kNoCompression;
  return options;
}

rocksdb::WriteOptions Durable() {
  rocksdb::WriteOptions options;
  options.sync = true;
  return options;
}

}  // namespace

struct BlobIndex::Impl {
  std::unique_ptr<rocksdb::DB> db;

  [[nodiscard]] std::string Get(char kind, const base::Digest& digest) const {
    std::string value;
    if (!db->Get(rocksdb::ReadOptions(), AsSlice(Key(kind, digest)), &value).ok()) return "";
    return value;
  }

  absl::Status Put(char kind, const base::Digest& digest, std::string_view value,
                   const rocksdb::WriteOptions& options) {
    return FromRocksDb(db->Put(options, AsSlice(Key(kind, digest)), AsSlice(value)),
                       "write to the index");
  }

  absl::Status CheckVersion();
  absl::Status ReadAll(std::vector<Entry>* entries);
};

absl::Status BlobIndex::Impl::CheckVersion() {
  std::string version;
  const rocksdb::Status status = db->Get(rocksdb::ReadOptions(), AsSlice(kVersionKey), &version);
  if (status.IsNotFound()) {
    return FromRocksDb(db->Put(Durable(), AsSlice(kVersionKey), AsSlice(kVersion)),
                       "write to the index");
  }
  if (!status.ok()) return FromRocksDb(status, "read the index");
  if (version != kVersion) return absl::DataLossError("the index has an unknown version");
  return absl::OkStatus();
}

absl::Status BlobIndex::Impl::ReadAll(std::vector<Entry>* entries) {
  std::map<base::Digest, Entry> found;
  rocksdb::WriteBatch unreadable;
  // Reads every value, so that a damaged block shows now and not when a layer is asked for.
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(rocksdb::ReadOptions()));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    const std::string_view key(it->key().data(), it->key().size());
    const std::string_view value(it->value().data(), it->value().size());
    if (key == kVersionKey) continue;
    if (key.size() != 1 + base::Digest::kSizeBytes) {
      unreadable.Delete(it->key());
      continue;
    }
    base::Digest::Bytes bytes;
    std::copy(key.begin() + 1, key.end(), bytes.begin());
    const base::Digest digest(bytes);
    const auto entry = found.find(digest);
    // States sort before all else of a blob, so what comes without one belongs to no blob.
    if (key[0] == kState) {
      if (auto state = DecodeState(value); state.ok()) {
        found[digest] = {digest, *std::move(state), {}};
      } else {
        unreadable.Delete(it->key());
      }
    } else if (entry == found.end()) {
      unreadable.Delete(it->key());
    } else if (key[0] == kLastUsed) {
      if (auto used = DecodeLastUsed(value); used.ok()) entry->second.last_used = *used;
    }
  }
  EAGLE_RETURN_IF_ERROR(FromRocksDb(it->status(), "read the index"));
  if (unreadable.Count() > 0) {
    EAGLE_RETURN_IF_ERROR(FromRocksDb(db->Write(Durable(), &unreadable), "write to the index"));
  }
  entries->clear();
  for (auto& [digest, entry] : found) entries->push_back(std::move(entry));
  return absl::OkStatus();
}

BlobIndex::BlobIndex(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BlobIndex::~BlobIndex() = default;

absl::StatusOr<std::unique_ptr<BlobIndex>> BlobIndex::Open(const std::string& path,
                                                           std::vector<Entry>* entries) {
  const auto open = [&]() -> absl::StatusOr<std::unique_ptr<BlobIndex>> {
    auto impl = std::make_unique<Impl>();
    rocksdb::DB* db = nullptr;
    const rocksdb::Status opened = rocksdb::DB::Open(DatabaseOptions(), path, &db);
    impl->db.reset(db);
    EAGLE_RETURN_IF_ERROR(FromRocksDb(opened, fmt::format("open the index {}", path)));
    EAGLE_RETURN_IF_ERROR(impl->CheckVersion());
    EAGLE_RETURN_IF_ERROR(impl->ReadAll(entries));
    return std::unique_ptr<BlobIndex>(new BlobIndex(std::move(impl)));
  };
  auto index = open();
  if (index.ok() || absl::IsResourceExhausted(index.status())) return index;

  const std::string aside = path + ".damaged";
  std::error_code error;
  std::filesystem::remove_all(aside, error);
  std::filesystem::rename(path, aside, error);
  if (error) return index;
  observe::Warn("index_rebuilt", "index", path, "moved_to", aside, "error",
                base::Message(index.status()));
  return open();
}

absl::Status BlobIndex::PutState(const base::Digest& digest, const BlobState& state) {
  return impl_->Put(kState, digest, EncodeState(state), Durable());
}

absl::Status BlobIndex::PutComplete(const base::Digest& digest, const BlobState& state) {
  rocksdb::WriteBatch batch;
  batch.Put(AsSlice(Key(kState, digest)), AsSlice(EncodeState(state)));
  batch.Delete(AsSlice(Key(kResumeData, digest)));
  return FromRocksDb(impl_->db->Write(Durable(), &batch), "write to the index");
}

absl::Status BlobIndex::PutMetainfo(const base::Digest& digest, const std::string& metainfo) {
  return impl_->Put(kMetainfo, digest, metainfo, Durable());
}

absl::Status BlobIndex::PutResumeData(const base::Digest& digest, const std::string& resume_data) {
  return impl_->Put(kResumeData, digest, resume_data, rocksdb::WriteOptions());
}

absl::Status BlobIndex::PutLastUsed(const base::Digest& digest,
                                    std::chrono::system_clock::time_point last_used) {
  return impl_->Put(kLastUsed, digest, EncodeLastUsed(last_used), rocksdb::WriteOptions());
}

absl::Status BlobIndex::Delete(const base::Digest& digest) {
  rocksdb::WriteBatch batch;
  for (const char kind : {kState, kMetainfo, kResumeData, kLastUsed}) {
    batch.Delete(AsSlice(Key(kind, digest)));
  }
  return FromRocksDb(impl_->db->Write(Durable(), &batch), "write to the index");
}

std::string BlobIndex::Metainfo(const base::Digest& digest) const {
  return impl_->Get(kMetainfo, digest);
}

std::string BlobIndex::ResumeData(const base::Digest& digest) const {
  return impl_->Get(kResumeData, digest);
}

}  // namespace eagle::blob
