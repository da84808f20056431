#include "core/net/monitor.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace canopy::net {
namespace {

// As Message::peer_address() has it.
std::string address_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  std::array<char, NI_MAXHOST> host{};
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (getpeername(fd, generic, &size) != 0 || address.ss_family == AF_UNIX ||
      getnameinfo(generic, size, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
    return {};
  }
  return host.data();
}

}  // namespace

Monitor::Monitor(Context& context, Socket& socket, const std::string& name)
    : context_(context), name_(name), pair_(context, SocketType::pair, {.receive_hwm = 0}) {
  // libzmq frees the name of a closed socket's monitor some time later.
  const std::string endpoint =
      "inproc://monitor/" + name + "/" + std::to_string(context.next_connection());
  const int rc = zmq_socket_monitor(
      socket.ref().handle(), endpoint.c_str(),
      ZMQ_EVENT_LISTENING | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED |
          ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
  if (rc != 0) throw zmq::error_t();
  if (const auto status = pair_.connect(endpoint); !status) throw zmq::error_t();
}

bool Monitor::drain(base::TimePoint now) {
  bool changed = false;
  // An event is two frames: number (16 bits) and value (32 bits), then the endpoint.
  while (pair_.receive(message_)) {
    std::uint16_t event = 0;
    std::int32_t value = 0;
    if (message_.size() == 0 || message_[0].size() != sizeof event + sizeof value) continue;
    std::memcpy(&event, message_[0].data(), sizeof event);
    std::memcpy(&value, message_[0].data() + sizeof event, sizeof value);
    if (event == ZMQ_EVENT_LISTENING) {
      listener_ = value;
      // A ticket may find nobody, and libzmq's thread would wait in accept for the next to come.
      fcntl(listener_, F_SETFL, fcntl(listener_, F_GETFL) | O_NONBLOCK);
    } else if (event == ZMQ_EVENT_ACCEPTED) {
      accept(value, now);
      changed = true;
    } else if (event == ZMQ_EVENT_DISCONNECTED) {
      end(value);
      changed = true;
    } else {
      count_failure(event, value);
    }
  }
  return changed;
}

void Monitor::accept(int fd, base::TimePoint now) {
  const auto before = ended_descriptors_.find(fd);
  connections_[fd] = {.number = context_.next_connection(),
                      .since = now,
                      .address = address_of(fd),
                      .let_in_before = context_.let_in(),
                      .after = {}};
  if (before != ended_descriptors_.end()) connections_[fd].after = before->second;
  if (door_ == Door::armed) door_ = Door::shut;  // one-shot
  came_in_ = true;
}

void Monitor::end(int fd) {
  const auto found = connections_.find(fd);
  if (found == connections_.end()) return;
  ended_.push_back(found->second.number);
  ended_descriptors_[fd].push_back(found->second.number);
  connections_.erase(found);
}

void Monitor::on_read_empty() {
  for (const auto& [fd, numbers] : ended_descriptors_) {
    if (const auto found = connections_.find(fd); found != connections_.end()) {
      found->second.after.clear();
    }
  }
  ended_descriptors_.clear();
}

const Monitor::Connection* Monitor::find(int fd) const {
  const auto found = connections_.find(fd);
  return found == connections_.end() ? nullptr : &found->second;
}

void Monitor::count_failure(std::uint16_t event, std::int32_t value) {
  if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL &&
      value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH) {
    ++failures_.no_key;
  } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL &&
             value == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC) {
    ++failures_.wrong_key;
  } else {
    ++failures_.incomplete;
  }
  count_closed("handshake", "");
}

void Monitor::count_closed(const char* reason, const std::string& address) {
  ++closed_[reason];
  log_.warn("net", "connection closed",
            {{"listener", name_}, {"reason", reason}, {"address", address}});
}

bool Monitor::carries(int fd, std::uint64_t number) const {
  const auto found = connections_.find(fd);
  return found != connections_.end() && found->second.let_in_before < number;
}

void Monitor::cut(int fd, const char* reason) {
  const auto found = connections_.find(fd);
  if (found == connections_.end() || found->second.cut) return;
  found->second.cut = true;
  count_closed(reason, found->second.address);
  shutdown(fd, SHUT_RDWR);
}

void Monitor::cut_silent(base::Duration patience, base::TimePoint now) {
  for (auto& [fd, connection] : connections_) {
    if (connection.sent_bytes || connection.spoke || now - connection.since < patience) continue;
    tcp_info info{};
    socklen_t size = sizeof info;
    const bool known = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0;
    connection.sent_bytes = !known || info.tcpi_bytes_received > 0;
    if (!connection.sent_bytes) cut(fd, "handshake");
  }
}

void Monitor::mark_spoken(int fd) {
  if (const auto found = connections_.find(fd); found != connections_.end()) {
    found->second.spoke = true;
  }
}

void Monitor::arm(std::uint64_t room, base::TimePoint now) {
  if (epoll_ < 0) find_registration();
  if (epoll_ < 0) return;
  // Where one has come in more may be waiting.
  if (std::exchange(came_in_, false) && room >= room_for_a_crowd) {
    tickets_.issue(epoll_, epoll_data_);
    issued_at_ = now;
  } else if (room < room_for_a_crowd || now - issued_at_ > accept_patience) {
    tickets_.withdraw();
  }
  const bool open = room > 0;
  if (open && door_ == Door::armed && now - armed_at_ < accept_patience) return;
  if (!open && door_ == Door::shut) return;
  door_ = open ? Door::armed : Door::shut;
  armed_at_ = now;
  epoll_event event{};
  event.events = open ? EPOLLIN | EPOLLONESHOT : 0u;
  event.data.u64 = epoll_data_;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, listener_, &event);
}

// The kernel tells which epoll watches which descriptor, for what and with which user data:
// "tfd: FD events: HEX data: HEX …", a line each (proc(5), /proc/PID/fdinfo).
void Monitor::find_registration() {
  if (listener_ < 0) return;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", ignored)) {
    if (std::filesystem::read_symlink(entry, ignored) != "anon_inode:[eventpoll]") continue;
    const std::string number = entry.path().filename();
    std::ifstream info("/proc/self/fdinfo/" + number);
    for (std::string line; std::getline(info, line);) {
      int descriptor = -1;
      unsigned events = 0;
      unsigned long long data = 0;
      if (std::sscanf(line.c_str(), "tfd: %d events: %x data: %llx", &descriptor, &events, &data) !=
              3 ||
          descriptor != listener_ || (events & EPOLLIN) == 0) {
        continue;
      }
      epoll_ = std::stoi(number);
      epoll_data_ = data;
      return;
    }
  }
}

}  // namespace canopy::net
