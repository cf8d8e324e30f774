variable "name" {
  description = "What the names of all resources begin with."
  type        = string
  default     = "heddle"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "name is 2 to 20 lower-case letters, digits and inner hyphens, and begins with a letter, such as heddle-prod."
  }
}

variable "resource_group_name" {
  description = "The resource group that the network is made in."
  type        = string

  validation {
    condition     = can(regex("^[\\w.()-]{0,89}[\\w()-]$", var.resource_group_name))
    error_message = "resource_group_name is the name of a resource group, not its id: 1 to 90 letters, digits and _ - ( ) . without a period at the end."
  }
}

variable "location" {
  description = "The region, such as westeurope."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]+$", var.location))
    error_message = "location is a region's short name, such as westeurope, not \"West Europe\"."
  }
}

variable "address_space" {
  description = "The addresses of the whole network, in CIDR notation."
  type        = string
  default     = "10.60.0.0/16"

  validation {
    condition     = can(cidrhost(var.address_space, 0)) && try(cidrhost(var.address_space, 0) == split("/", var.address_space)[0], false)
    error_message = "address_space is an IPv4 range such as 10.60.0.0/16, written with its first address."
  }
}

variable "subnets" {
  description = "The addresses of each subnet: of the control planes, the gateways, the backends, and the Key Vault's private endpoint. Each is within address_space, and none overlaps another."
  type = object({
    control_plane = optional(string, "10.60.0.0/24")
    gateways      = optional(string, "10.60.1.0/24")
    backends      = optional(string, "10.60.4.0/22")
    endpoints     = optional(string, "10.60.2.0/28")
  })
  default = {}

  validation {
    condition     = alltrue([for prefix in values(var.subnets) : try(cidrhost(prefix, 0) == split("/", prefix)[0] && tonumber(split("/", prefix)[1]) <= 29, false)])
    error_message = "Each subnet is an IPv4 range of at least 8 addresses such as 10.60.0.0/24, written with its first address (Azure keeps five of them)."
  }

  validation {
    condition = alltrue([
      for prefix in values(var.subnets) :
      try(
        tonumber(split("/", prefix)[1]) >= tonumber(split("/", var.address_space)[1]) &&
        cidrhost("${cidrhost(prefix, 0)}/${split("/", var.address_space)[1]}", 0) == cidrhost(var.address_space, 0),
        true # a range that is none is told by the other validations
      )
    ])
    error_message = "Each subnet lies within address_space (${var.address_space})."
  }

  validation {
    condition = alltrue(flatten([
      for one, a in var.subnets : [
        for other, b in var.subnets :
        try(
          cidrhost("${cidrhost(a, 0)}/${min(split("/", a)[1], split("/", b)[1])}", 0) !=
          cidrhost("${cidrhost(b, 0)}/${min(split("/", a)[1], split("/", b)[1])}", 0),
          true
        ) if one != other
      ]
    ]))
    error_message = "The subnets overlap: give each a range of its own."
  }
}

variable "ingress_ports" {
  description = "The ports of the gateways that the load balancer leads to: what gateways listen on, which are the only ones that anybody outside reaches."
  type        = list(number)
  default     = [8080]

  validation {
    condition     = length(var.ingress_ports) > 0 && length(distinct(var.ingress_ports)) == length(var.ingress_ports) && alltrue([for port in var.ingress_ports : port >= 1 && port <= 65535 && floor(port) == port && port != 22])
    error_message = "ingress_ports has at least one port, each once, from 1 to 65535, and never 22."
  }
}

variable "ingress_sources" {
  description = "Who reaches these ports: ranges in CIDR notation, or [\"Internet\"] for everybody."
  type        = list(string)
  default     = ["Internet"]

  validation {
    condition     = length(var.ingress_sources) > 0 && (join(",", var.ingress_sources) == "Internet" || alltrue([for source in var.ingress_sources : can(cidrhost(source, 0))]))
    error_message = "ingress_sources is [\"Internet\"], or ranges such as [\"203.0.113.0/24\"]."
  }
}

variable "backend_ports" {
  description = "The ports of the backends that gateways call, and other backends do."
  type        = list(number)
  default     = [8080]

  validation {
    condition     = length(var.backend_ports) > 0 && length(distinct(var.backend_ports)) == length(var.backend_ports) && alltrue([for port in var.backend_ports : port >= 1 && port <= 65535 && floor(port) == port && port != 22])
    error_message = "backend_ports has at least one port, each once, from 1 to 65535, and never 22."
  }
}

variable "control_plane_ports" {
  description = "The ports of the control planes that machines of the mesh reach: REST over TLS, xDS over TLS, and the AuthZ service's."
  type        = list(number)
  default     = [7443, 18443, 18001]

  validation {
    condition     = length(var.control_plane_ports) > 0 && alltrue([for port in var.control_plane_ports : port >= 1 && port <= 65535 && floor(port) == port && port != 22 && port != 2379 && port != 2380])
    error_message = "control_plane_ports are from 1 to 65535, and neither 22 nor etcd's (2379, 2380), which only control planes reach."
  }
}

variable "ssh_sources" {
  description = "Ranges that may connect to port 22 of all machines, such as a bastion's subnet. Left out, nobody may."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for source in var.ssh_sources : try(tonumber(split("/", source)[1]) >= 8 && can(cidrhost(source, 0)), false)])
    error_message = "ssh_sources are ranges such as [\"10.1.2.0/27\"], of /8 or narrower: never everybody (0.0.0.0/0, Internet, *)."
  }
}

variable "nat_gateway" {
  description = "Whether a NAT gateway lets machines out, which have no public address: they fetch their packages and ask Azure's API. False where a firewall of yours does it."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "heddle-")])
    error_message = "Tags that begin with heddle- say what a machine runs: they do not belong to the network."
  }

  validation {
    condition     = length(var.tags) <= 50 && alltrue([for key, value in var.tags : can(regex("^[^<>%&\\\\?/]{1,512}$", key)) && length(value) <= 256])
    error_message = "Azure takes 50 tags here, with names of 1 to 512 characters without < > % & \\ ? /, and values of at most 256."
  }
}
