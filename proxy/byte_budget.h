// Bytes that clients may take together, and each of them. What is taken goes back when its Share
// ends. Pure; not thread-safe; outlives its shares.
#pragma once

#include <cstddef>
#include <map>
#include <utility>

namespace canopy::proxy {

template <typename Client>
class ByteBudget {
 public:
  // Moved from, it holds nothing.
  class Share {
   public:
    Share() = default;
    Share(ByteBudget& budget, Client client, std::size_t bytes)
        : budget_(&budget), client_(std::move(client)), bytes_(bytes) {}
    Share(Share&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)),
          client_(std::move(other.client_)),
          bytes_(other.bytes_) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(client_, other.client_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Share() {
      if (budget_ != nullptr) budget_->give_back(client_, bytes_);
    }

   private:
    ByteBudget* budget_ = nullptr;
    Client client_{};
    std::size_t bytes_ = 0;
  };

  ByteBudget(std::size_t total, std::size_t per_client) : total_(total), per_client_(per_client) {}

  bool allows(std::size_t bytes) const { return bytes_ + bytes <= total_; }
  bool allows(const Client& client, std::size_t bytes) const {
    const auto taken = taken_.find(client);
    return (taken == taken_.end() ? 0 : taken->second) + bytes <= per_client_;
  }
  Share take(const Client& client, std::size_t bytes) {
    bytes_ += bytes;
    taken_[client] += bytes;
    return Share(*this, client, bytes);
  }
  std::size_t bytes() const { return bytes_; }

 private:
  void give_back(const Client& client, std::size_t bytes) {
    bytes_ -= bytes;
    const auto taken = taken_.find(client);
    taken->second -= bytes;
    if (taken->second == 0) taken_.erase(taken);
  }

  std::size_t total_;
  std::size_t per_client_;
  std::size_t bytes_ = 0;
  std::map<Client, std::size_t> taken_;
};

}  // namespace canopy::proxy
