"""Service categories and subcategories (FOCUS 1.0 "ServiceCategory", 1.1 "ServiceSubcategory").

The values have not changed from 1.1 to 1.4.
"""

from __future__ import annotations

from typing import Final

# Category: its subcategories. Each category also has `Other (<category>)`.
_SUBCATEGORIES: Final[dict[str, tuple[str, ...]]] = {
    "AI and Machine Learning": (
        "AI Platforms",
        "Bots",
        "Generative AI",
        "Machine Learning",
        "Natural Language Processing",
    ),
    "Analytics": (
        "Analytics Platforms",
        "Business Intelligence",
        "Data Processing",
        "Search",
        "Streaming Analytics",
    ),
    "Business Applications": ("Productivity and Collaboration",),
    "Compute": (
        "Containers",
        "End User Computing",
        "Quantum Compute",
        "Serverless Compute",
        "Virtual Machines",
    ),
    "Databases": (
        "Caching",
        "Data Warehouses",
        "Ledger Databases",
        "NoSQL Databases",
        "Relational Databases",
        "Time Series Databases",
    ),
    "Developer Tools": (
        "Continuous Integration and Deployment",
        "Developer Platforms",
        "Development Environments",
        "Quality Assurance",
        "Source Code Management",
    ),
    "Identity": ("Identity and Access Management",),
    "Integration": (
        "API Management",
        "Messaging",
        "Workflow Orchestration",
    ),
    "Internet of Things": (
        "IoT Analytics",
        "IoT Platforms",
    ),
    "Management and Governance": (
        "Architecture",
        "Compliance",
        "Cost Management",
        "Data Governance",
        "Disaster Recovery",
        "Endpoint Management",
        "Observability",
        "Support",
    ),
    "Media": (
        "Content Creation",
        "Gaming",
        "Media Streaming",
        "Mixed Reality",
    ),
    "Migration": (
        "Data Migration",
        "Resource Migration",
    ),
    "Mobile": (),
    "Multicloud": ("Multicloud Integration",),
    "Networking": (
        "Application Networking",
        "Content Delivery",
        "Network Connectivity",
        "Network Infrastructure",
        "Network Routing",
        "Network Security",
    ),
    "Other": (),
    "Security": (
        "Secret Management",
        "Security Posture Management",
        "Threat Detection and Response",
    ),
    "Storage": (
        "Backup Storage",
        "Block Storage",
        "File Storage",
        "Object Storage",
        "Storage Platforms",
    ),
    "Web": ("Application Platforms",),
}

SERVICE_CATEGORIES: Final = frozenset(_SUBCATEGORIES)

# Subcategory: the one category that it belongs to.
SERVICE_SUBCATEGORIES: Final[dict[str, str]] = {
    name: category for category, names in _SUBCATEGORIES.items() for name in (*names, f"Other ({category})")
}
