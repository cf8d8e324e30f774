output "public_address" {
  description = "The load balancer's address: requests to it are routed to the backends."
  value       = module.envoy_lb.public_address
}

output "control_plane" {
  description = "Where machines of the network reach the control planes."
  value       = module.control_plane.connection
}

output "control_plane_addresses" {
  description = "The control planes' addresses in the network."
  value       = module.control_plane.private_addresses
}
