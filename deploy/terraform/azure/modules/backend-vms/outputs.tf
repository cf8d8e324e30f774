output "scale_set_id" {
  description = "The scale set of the backends."
  value       = azurerm_linux_virtual_machine_scale_set.this.id
}

output "service" {
  description = "The service that the machines are instances of."
  value       = var.service
}
