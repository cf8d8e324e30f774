output "connection" {
  description = "Where machines of the mesh reach the control planes: server (REST over TLS) and xds (one address of each)."
  value = {
    server = "https://${local.host}:7443"
    xds    = [for machine in local.machines : "${machine.address}:18443"]
  }
}

output "join_secrets" {
  description = "By the names of gateways: where the join token is. The id of the secret, and the vault's address. Not the token, which Terraform never sees."
  value = {
    for name in var.gateways : name => {
      id        = local.secret_ids["join-gateway-${name}"]
      vault_url = trimsuffix(azurerm_key_vault.this.vault_uri, "/")
    }
  }
}

output "private_addresses" {
  description = "The control planes' addresses, in the order of their numbers."
  value       = [for machine in local.machines : machine.address]
}

output "principal_id" {
  description = "The managed identity of the control planes, to give it Reader where machines of other subscriptions are to be found."
  value       = azurerm_user_assigned_identity.this.principal_id
}

output "key_vault_id" {
  description = "The Key Vault's id."
  value       = azurerm_key_vault.this.id
}
