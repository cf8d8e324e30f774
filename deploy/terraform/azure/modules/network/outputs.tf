output "virtual_network_id" {
  description = "The network's id, which control-plane links its private DNS zones to."
  value       = azurerm_virtual_network.this.id
}

output "subnet_ids" {
  description = "The ids of the subnets: control_plane, gateways, backends, endpoints. They are known once their security groups are in force, so that no machine starts without."
  value       = { for key, subnet in azurerm_subnet.this : key => subnet.id }
  depends_on  = [azurerm_subnet_network_security_group_association.this, azurerm_subnet_nat_gateway_association.this]
}

output "subnet_prefixes" {
  description = "The addresses of the subnets, in CIDR notation."
  value       = var.subnets
}

output "nat_address" {
  description = "The address that machines go out by, or null without a NAT gateway. It takes no connections."
  value       = one(azurerm_public_ip.nat[*].ip_address)
}
