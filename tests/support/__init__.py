"""What tests share: drawn data, real servers, stores and clusters on loopback, mutations."""
