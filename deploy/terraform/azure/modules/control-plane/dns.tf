resource "azurerm_private_dns_zone" "key_vault" {
  name                = var.key_vault_dns_zone
  resource_group_name = var.resource_group_name
  tags                = var.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "key_vault" {
  name                = "${var.name}-key-vault"
  private_dns_zone_id = azurerm_private_dns_zone.key_vault.id
  virtual_network_id  = var.virtual_network_id
  tags                = var.tags
}

# One name for all control planes: who joins or renews tries their addresses by turns.
resource "azurerm_private_dns_zone" "mesh" {
  name                = var.dns_zone
  resource_group_name = var.resource_group_name
  tags                = var.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "mesh" {
  name                = var.name
  private_dns_zone_id = azurerm_private_dns_zone.mesh.id
  virtual_network_id  = var.virtual_network_id
  tags                = var.tags
}

resource "azurerm_private_dns_a_record" "control_plane" {
  name                = "control-plane"
  private_dns_zone_id = azurerm_private_dns_zone.mesh.id
  ttl                 = 60
  records             = [for machine in local.machines : machine.address]
  tags                = var.tags
}
