# Nothing of what is in the vault comes from here, so that no secret is in Terraform's state:
# the control planes write it. Terraform itself never connects to the vault.
locals {
  secret_names = concat(
    [for name in var.gateways : "join-gateway-${name}"],
    # What three control planes share: the authority's key, and that of etcd's.
    var.control_plane_count > 1 ? ["control-plane-authority"] : [],
  )
  secret_ids = { for name in local.secret_names : name => "${azurerm_key_vault.this.id}/secrets/${name}" }
}

resource "azurerm_key_vault" "this" {
  name                          = var.key_vault_name
  resource_group_name           = var.resource_group_name
  location                      = var.location
  tenant_id                     = data.azurerm_client_config.current.tenant_id
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  purge_protection_enabled      = true
  soft_delete_retention_days    = 90
  public_network_access_enabled = false
  tags                          = var.tags

  network_acls {
    bypass         = "None"
    default_action = "Deny"
  }
}

resource "azurerm_private_endpoint" "key_vault" {
  name                = "${var.name}-key-vault"
  resource_group_name = var.resource_group_name
  location            = var.location
  subnet_id           = var.endpoints_subnet_id
  tags                = var.tags

  private_service_connection {
    name                           = "key-vault"
    private_connection_resource_id = azurerm_key_vault.this.id
    subresource_names              = ["vault"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "key-vault"
    private_dns_zone_ids = [azurerm_private_dns_zone.key_vault.id]
  }
}
