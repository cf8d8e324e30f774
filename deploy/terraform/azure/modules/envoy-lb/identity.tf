# All that a gateway's machine may do in Azure: read its secrets.
resource "azurerm_user_assigned_identity" "this" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_role_assignment" "secrets" {
  for_each = merge({ join = var.join_secret.id }, var.certificate == null ? {} : { certificate = "${dirname(var.join_secret.id)}/${var.certificate}" })

  scope                = each.value
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.this.principal_id
  principal_type       = "ServicePrincipal"
}
