#include "loadtest/channel.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <system_error>

namespace canopy::loadtest {

Channel::Channel(Channel&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      pending_(std::move(other.pending_)),
      closed_(other.closed_) {}

Channel& Channel::operator=(Channel&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(pending_, other.pending_);
  std::swap(closed_, other.closed_);
  return *this;
}

Channel::~Channel() {
  if (fd_ >= 0) close(fd_);
}

std::pair<Channel, Channel> Channel::make() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw std::system_error(errno, std::generic_category(), "socketpair");
  }
  const timeval timeout{5, 0};
  for (const int fd : ends) {
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  }
  return {Channel(ends[0]), Channel(ends[1])};
}

bool Channel::send(const nlohmann::json& message) {
  const std::string line = message.dump() + '\n';
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t n = ::send(fd_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

std::optional<nlohmann::json> Channel::receive() {
  for (;;) {
    if (const auto end = pending_.find('\n'); end != std::string::npos) {
      auto message = nlohmann::json::parse(pending_.begin(),
                                           pending_.begin() + static_cast<std::ptrdiff_t>(end));
      pending_.erase(0, end + 1);
      return message;
    }
    std::array<char, 65536> chunk;
    const ssize_t n = recv(fd_, chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (n > 0) {
      pending_.append(chunk.data(), static_cast<std::size_t>(n));
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) closed_ = true;
    return {};
  }
}

}  // namespace canopy::loadtest
