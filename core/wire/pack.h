// Appends MessagePack to a string, or to what else has append(). For the encoders of this folder
// alone.
#pragma once

#include <cstdint>
#include <msgpack.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "core/keyspace/revision.h"

namespace canopy::wire {

template <typename Out>
class BasicPacker {
 public:
  explicit BasicPacker(Out& out) : sink_{out}, packer_(sink_) {}
  BasicPacker(const BasicPacker&) = delete;
  BasicPacker& operator=(const BasicPacker&) = delete;

  void array(std::size_t size) { packer_.pack_array(static_cast<std::uint32_t>(size)); }
  void map(std::size_t size) { packer_.pack_map(static_cast<std::uint32_t>(size)); }
  void number(std::uint64_t value) { packer_.pack_uint64(value); }
  void signed_number(std::int64_t value) { packer_.pack_int64(value); }
  void revision(keyspace::Revision revision) { number(revision.value()); }
  void revision_or_nil(const std::optional<keyspace::Revision>& revision) {
    if (revision) {
      number(revision->value());
    } else {
      nil();
    }
  }
  void boolean(bool value) { value ? packer_.pack_true() : packer_.pack_false(); }
  void nil() { packer_.pack_nil(); }
  void text(std::string_view text) {
    packer_.pack_str(static_cast<std::uint32_t>(text.size()));
    packer_.pack_str_body(text.data(), static_cast<std::uint32_t>(text.size()));
  }
  void bytes(std::string_view bytes) {
    packer_.pack_bin(static_cast<std::uint32_t>(bytes.size()));
    packer_.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
  }
  void value(bool deleted, std::string_view value) {
    if (deleted) {
      nil();
    } else {
      bytes(value);
    }
  }

 private:
  struct Sink {
    Out& out;
    void write(const char* data, std::size_t size) { out.append(data, size); }
  };

  Sink sink_;
  msgpack::packer<Sink> packer_;
};

using Packer = BasicPacker<std::string>;

}  // namespace canopy::wire
