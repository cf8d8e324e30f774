variable "subscription_id" {
  description = "The subscription that everything is made in."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.subscription_id))
    error_message = "subscription_id is a UUID; az account show --query id --output tsv prints it."
  }
}

variable "resource_group_name" {
  description = "The resource group that is made for the mesh."
  type        = string
  default     = "heddle-mesh"
}

variable "location" {
  description = "The region."
  type        = string
  default     = "westeurope"
}

variable "key_vault_name" {
  description = "A name that no other Key Vault in the world has."
  type        = string
}

variable "releases" {
  description = "Where machines fetch heddle, Envoy and, with three control planes, etcd, and the SHA-256 of each."
  type = object({
    heddle = object({ url = string, sha256 = string })
    envoy  = object({ url = string, sha256 = string })
    etcd   = optional(object({ url = string, sha256 = string }))
  })
}

variable "admin_ssh_public_key" {
  description = "The administrator's public SSH key. Port 22 is closed unless ssh_sources opens it."
  type        = string
}

variable "ssh_sources" {
  description = "Ranges that may connect to port 22; left out, nobody may."
  type        = list(string)
  default     = []
}

variable "control_plane_count" {
  description = "1 or 3, chosen at the start: another number is refused later."
  type        = number
  default     = 1
}

variable "gateway_count" {
  description = "How many gateways there are."
  type        = number
  default     = 2
}

variable "certificate" {
  description = "For HTTPS: the name of a certificate in the Key Vault, in PEM. It has to be there before the gateways are made anew with it."
  type        = string
  default     = null
}

variable "backend_count" {
  description = "How many machines the service has."
  type        = number
  default     = 2
}

variable "vm_sizes" {
  description = "The sizes of the machines. Together they have to fit the region's quota of cores."
  type = object({
    control_plane = optional(string, "Standard_D2s_v5")
    gateway       = optional(string, "Standard_D2s_v5")
    backend       = optional(string, "Standard_B2s")
  })
  default = {}
}

variable "run_command" {
  description = "Whether who has rights on the control planes in Azure may run commands on them (az vm run-command)."
  type        = bool
  default     = true
}

variable "zones" {
  description = "The availability zones; [] in a region without any."
  type        = list(string)
  default     = ["1", "2", "3"]
}

variable "encryption_at_host" {
  description = "Whether disks are encrypted on their hosts, too, which the subscription has to have as a feature."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
}
