#include "core/coordination/messages.h"

#include <algorithm>
#include <array>
#include <limits>
#include <msgpack.hpp>
#include <optional>
#include <span>

namespace canopy::coordination {
namespace {

constexpr char version = 3;
// The type on the wire of each alternative of Request and Reply.
constexpr std::array<std::uint64_t, 6> request_types = {1, 2, 3, 5, 6, 7};
constexpr std::array<std::uint64_t, 7> reply_types = {65, 66, 67, 68, 71, 72, 73};
static_assert(request_types.size() == std::variant_size_v<Request>);
static_assert(reply_types.size() == std::variant_size_v<Reply>);
constexpr std::size_t max_fields = 8;

struct Buffer {
  std::string bytes{version};
  void write(const char* data, std::size_t size) { bytes.append(data, size); }
};

// A field that is binary on the wire.
struct Binary {
  std::string_view bytes;
};

class Writer {
 public:
  // Appends one message: Writer(type, number).fields(…).
  Writer(std::uint64_t type, std::uint64_t number) : type_(type), number_(number) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  template <typename... Fields>
  std::string fields(const Fields&... fields) {
    packer_.pack_array(static_cast<std::uint32_t>(2 + sizeof...(fields)));
    put(type_);
    put(number_);
    (put(fields), ...);
    return std::move(buffer_.bytes);
  }

 private:
  void put(std::uint64_t number) { packer_.pack_uint64(number); }
  void put(std::uint32_t number) { packer_.pack_uint32(number); }
  void put(bool flag) { flag ? packer_.pack_true() : packer_.pack_false(); }
  void put(const std::string& text) {
    packer_.pack_str(static_cast<std::uint32_t>(text.size()));
    packer_.pack_str_body(text.data(), static_cast<std::uint32_t>(text.size()));
  }
  void put(const Binary& binary) {
    packer_.pack_bin(static_cast<std::uint32_t>(binary.bytes.size()));
    packer_.pack_bin_body(binary.bytes.data(), static_cast<std::uint32_t>(binary.bytes.size()));
  }
  void put(const std::optional<std::string>& value) {
    if (value) {
      put(Binary{*value});
    } else {
      packer_.pack_nil();
    }
  }

  std::uint64_t type_;
  std::uint64_t number_;
  Buffer buffer_;
  msgpack::packer<Buffer> packer_{buffer_};
};

// Reads the fields of a message in order; remembers whether any was not as expected.
class FieldReader {
 public:
  explicit FieldReader(const msgpack::object_array& array) : array_(array) {}

  template <typename Number>
  void read(Number& number) {
    const msgpack::object* field = next(msgpack::type::POSITIVE_INTEGER);
    if (field == nullptr) return;
    if (field->via.u64 > std::numeric_limits<Number>::max()) return fail();
    number = static_cast<Number>(field->via.u64);
  }
  void read(bool& flag) {
    if (const auto* field = next(msgpack::type::BOOLEAN)) flag = field->via.boolean;
  }
  void read(std::string& text) {
    if (const auto* field = next(msgpack::type::STR))
      text.assign(field->via.str.ptr, field->via.str.size);
  }
  void read_value(std::string& value) {
    if (const auto* field = next(msgpack::type::BIN))
      value.assign(field->via.bin.ptr, field->via.bin.size);
  }
  void read(std::optional<std::string>& value) {
    if (at_ < array_.size && array_.ptr[at_].type == msgpack::type::NIL) {
      ++at_;
      value.reset();
    } else {
      read_value(value.emplace());
    }
  }
  void read(cluster::Fault& fault) {
    std::uint8_t number = 0;
    read(number);
    fault = static_cast<cluster::Fault>(number);
  }

  // Every field was read, and each was as expected.
  bool complete() const { return good_ && at_ == array_.size; }

 private:
  const msgpack::object* next(msgpack::type::object_type type) {
    if (at_ >= array_.size || array_.ptr[at_].type != type) {
      fail();
      return nullptr;
    }
    return &array_.ptr[at_++];
  }
  void fail() { good_ = false; }

  const msgpack::object_array& array_;
  std::uint32_t at_ = 0;
  bool good_ = true;
};

template <typename... Fields>
void read_all(FieldReader& in, Fields&... fields) {
  (in.read(fields), ...);
}

void read(FieldReader& in, Register& m) {
  read_all(in, m.name, m.generation, m.known, m.record, m.identity);
}
void read(FieldReader&, Ping&) {}
void read(FieldReader& in, Announce& m) {
  in.read(m.key);
  in.read_value(m.value);
}
void read(FieldReader& in, CompareAndSet& m) {
  read_all(in, m.request, m.key);
  in.read_value(m.value);
  in.read(m.expected);
}
void read(FieldReader& in, Watch& m) { in.read(m.prefix); }
void read(FieldReader&, Resign&) {}
void read(FieldReader& in, Welcome& m) {
  read_all(in, m.lease_us, m.generation, m.record, m.answers);
}
void read(FieldReader& in, Pong& m) { in.read(m.answers); }
void read(FieldReader& in, cluster::KeyChanged& m) { read_all(in, m.key, m.value, m.version); }
void read(FieldReader& in, cluster::Watched& m) { in.read(m.prefix); }
void read(FieldReader& in, cluster::Swapped& m) { read_all(in, m.request, m.swapped); }
void read(FieldReader& in, cluster::Failed& m) { read_all(in, m.fault, m.subject); }
void read(FieldReader& in, cluster::Renewed& m) { in.read(m.generation); }

std::string write(Writer out, const Register& m) {
  return out.fields(m.name, m.generation, m.known, m.record, m.identity);
}
std::string write(Writer out, const Ping&) { return out.fields(); }
std::string write(Writer out, const Announce& m) { return out.fields(m.key, Binary{m.value}); }
std::string write(Writer out, const CompareAndSet& m) {
  return out.fields(m.request, m.key, Binary{m.value}, m.expected);
}
std::string write(Writer out, const Watch& m) { return out.fields(m.prefix); }
std::string write(Writer out, const Resign&) { return out.fields(); }
std::string write(Writer out, const Welcome& m) {
  return out.fields(m.lease_us, m.generation, m.record, m.answers);
}
std::string write(Writer out, const Pong& m) { return out.fields(m.answers); }
std::string write(Writer out, const cluster::KeyChanged& m) {
  return out.fields(m.key, m.value, m.version);
}
std::string write(Writer out, const cluster::Watched& m) { return out.fields(m.prefix); }
std::string write(Writer out, const cluster::Swapped& m) {
  return out.fields(m.request, m.swapped);
}
std::string write(Writer out, const cluster::Failed& m) {
  return out.fields(static_cast<std::uint64_t>(m.fault), m.subject);
}
std::string write(Writer out, const cluster::Renewed& m) { return out.fields(m.generation); }

// The alternative of `Body` at `index`, default-made.
template <typename Body, std::size_t I = 0>
std::optional<Body> alternative(std::size_t index) {
  if constexpr (I < std::variant_size_v<Body>) {
    if (index == I) return Body(std::in_place_index<I>);
    return alternative<Body, I + 1>(index);
  } else {
    return std::nullopt;
  }
}

template <typename Body>
base::Result<Numbered<Body>> parse(const msgpack::object& object,
                                   std::span<const std::uint64_t> types) {
  if (object.type != msgpack::type::ARRAY) return base::Error{"not a MessagePack array"};
  FieldReader in(object.via.array);
  std::uint64_t type = 0;
  Numbered<Body> message;
  read_all(in, type, message.number);
  const auto index = std::ranges::find(types, type) - types.begin();
  auto body = alternative<Body>(static_cast<std::size_t>(index));
  if (!body) return base::Error{"unknown message type " + std::to_string(type)};
  std::visit([&](auto& fields) { read(in, fields); }, *body);
  if (!in.complete()) {
    return base::Error{"wrong fields in a message of type " + std::to_string(type)};
  }
  message.body = std::move(*body);
  return message;
}

template <typename Body>
base::Result<Numbered<Body>> decode(std::string_view frame, std::span<const std::uint64_t> types) {
  if (frame.empty()) return base::Error{"empty message"};
  if (frame.front() != version) {
    return base::Error{"protocol version " +
                       std::to_string(static_cast<unsigned char>(frame.front())) + ", expected " +
                       std::to_string(version)};
  }
  if (frame.size() > max_message_bytes) return base::Error{"message too long"};
  frame.remove_prefix(1);
  const msgpack::unpack_limit limit(max_fields, 0, max_message_bytes, max_message_bytes, 0, 1);
  try {
    std::size_t end = 0;
    bool referenced = false;
    const auto by_reference = [](msgpack::type::object_type, std::size_t, void*) { return true; };
    const auto handle =
        msgpack::unpack(frame.data(), frame.size(), end, referenced, by_reference, nullptr, limit);
    if (end != frame.size()) return base::Error{"bytes after the message"};
    return parse<Body>(handle.get(), types);
  } catch (const std::exception& error) {  // msgpack's, for malformed bytes
    return base::Error{std::string("not MessagePack: ") + error.what()};
  }
}

}  // namespace

std::string encode(const Request& request, std::uint64_t number) {
  const std::uint64_t type = request_types.at(request.index());
  return std::visit([&](const auto& m) { return write(Writer(type, number), m); }, request);
}

std::string encode(const Reply& reply, std::uint64_t number) {
  const std::uint64_t type = reply_types.at(reply.index());
  return std::visit([&](const auto& m) { return write(Writer(type, number), m); }, reply);
}

base::Result<Numbered<Request>> decode_request(std::string_view frame) {
  return decode<Request>(frame, request_types);
}

base::Result<Numbered<Reply>> decode_reply(std::string_view frame) {
  return decode<Reply>(frame, reply_types);
}

}  // namespace canopy::coordination
