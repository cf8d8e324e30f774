output "public_address" {
  description = "The load balancer's address: what clients connect to, and names in DNS lead to."
  value       = azurerm_public_ip.this.ip_address
}

output "load_balancer_id" {
  description = "The load balancer's id."
  value       = azurerm_lb.this.id
}

output "scale_set_id" {
  description = "The scale set of the gateways' machines."
  value       = azurerm_linux_virtual_machine_scale_set.this.id
}

output "principal_id" {
  description = "The managed identity of the gateways' machines."
  value       = azurerm_user_assigned_identity.this.principal_id
}
