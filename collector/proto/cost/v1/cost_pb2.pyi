from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Level(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEVEL_ORIGIN: _ClassVar[Level]
    LEVEL_ALLOCATION: _ClassVar[Level]
    LEVEL_REQUEST: _ClassVar[Level]

class ChargeCategory(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHARGE_CATEGORY_UNSPECIFIED: _ClassVar[ChargeCategory]
    CHARGE_CATEGORY_USAGE: _ClassVar[ChargeCategory]
    CHARGE_CATEGORY_PURCHASE: _ClassVar[ChargeCategory]
    CHARGE_CATEGORY_TAX: _ClassVar[ChargeCategory]
    CHARGE_CATEGORY_CREDIT: _ClassVar[ChargeCategory]
    CHARGE_CATEGORY_ADJUSTMENT: _ClassVar[ChargeCategory]

class ChargeClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHARGE_CLASS_UNSPECIFIED: _ClassVar[ChargeClass]
    CHARGE_CLASS_CORRECTION: _ClassVar[ChargeClass]

class SubjectKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUBJECT_KIND_UNSPECIFIED: _ClassVar[SubjectKind]
    SUBJECT_KIND_WORKLOAD: _ClassVar[SubjectKind]
    SUBJECT_KIND_REQUEST_GROUP: _ClassVar[SubjectKind]
    SUBJECT_KIND_SPAN: _ClassVar[SubjectKind]
    SUBJECT_KIND_IDLE: _ClassVar[SubjectKind]
    SUBJECT_KIND_SHARED: _ClassVar[SubjectKind]
    SUBJECT_KIND_OVERHEAD: _ClassVar[SubjectKind]
    SUBJECT_KIND_UNALLOCATED: _ClassVar[SubjectKind]
    SUBJECT_KIND_OTHER: _ClassVar[SubjectKind]

class CostSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COST_SOURCE_UNSPECIFIED: _ClassVar[CostSource]
    COST_SOURCE_PRICE_BOOK: _ClassVar[CostSource]
    COST_SOURCE_REPORTED_BY_PROVIDER: _ClassVar[CostSource]
    COST_SOURCE_REPORTED_BY_CLIENT: _ClassVar[CostSource]
    COST_SOURCE_INVOICE: _ClassVar[CostSource]
    COST_SOURCE_RECONCILED: _ClassVar[CostSource]
    COST_SOURCE_UNPRICED: _ClassVar[CostSource]
LEVEL_ORIGIN: Level
LEVEL_ALLOCATION: Level
LEVEL_REQUEST: Level
CHARGE_CATEGORY_UNSPECIFIED: ChargeCategory
CHARGE_CATEGORY_USAGE: ChargeCategory
CHARGE_CATEGORY_PURCHASE: ChargeCategory
CHARGE_CATEGORY_TAX: ChargeCategory
CHARGE_CATEGORY_CREDIT: ChargeCategory
CHARGE_CATEGORY_ADJUSTMENT: ChargeCategory
CHARGE_CLASS_UNSPECIFIED: ChargeClass
CHARGE_CLASS_CORRECTION: ChargeClass
SUBJECT_KIND_UNSPECIFIED: SubjectKind
SUBJECT_KIND_WORKLOAD: SubjectKind
SUBJECT_KIND_REQUEST_GROUP: SubjectKind
SUBJECT_KIND_SPAN: SubjectKind
SUBJECT_KIND_IDLE: SubjectKind
SUBJECT_KIND_SHARED: SubjectKind
SUBJECT_KIND_OVERHEAD: SubjectKind
SUBJECT_KIND_UNALLOCATED: SubjectKind
SUBJECT_KIND_OTHER: SubjectKind
COST_SOURCE_UNSPECIFIED: CostSource
COST_SOURCE_PRICE_BOOK: CostSource
COST_SOURCE_REPORTED_BY_PROVIDER: CostSource
COST_SOURCE_REPORTED_BY_CLIENT: CostSource
COST_SOURCE_INVOICE: CostSource
COST_SOURCE_RECONCILED: CostSource
COST_SOURCE_UNPRICED: CostSource

class Subject(_message.Message):
    __slots__ = ("kind", "service_name", "service_namespace", "environment", "team", "tenant", "k8s_cluster", "k8s_node", "k8s_namespace", "k8s_workload_kind", "k8s_workload", "k8s_pod_uid", "k8s_pod", "k8s_container", "operation", "trace_id", "span_id", "labels", "resource_id", "resource_name")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    SERVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    SERVICE_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    K8S_CLUSTER_FIELD_NUMBER: _ClassVar[int]
    K8S_NODE_FIELD_NUMBER: _ClassVar[int]
    K8S_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    K8S_WORKLOAD_KIND_FIELD_NUMBER: _ClassVar[int]
    K8S_WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    K8S_POD_UID_FIELD_NUMBER: _ClassVar[int]
    K8S_POD_FIELD_NUMBER: _ClassVar[int]
    K8S_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_NAME_FIELD_NUMBER: _ClassVar[int]
    kind: SubjectKind
    service_name: str
    service_namespace: str
    environment: str
    team: str
    tenant: str
    k8s_cluster: str
    k8s_node: str
    k8s_namespace: str
    k8s_workload_kind: str
    k8s_workload: str
    k8s_pod_uid: str
    k8s_pod: str
    k8s_container: str
    operation: str
    trace_id: bytes
    span_id: bytes
    labels: _containers.ScalarMap[str, str]
    resource_id: str
    resource_name: str
    def __init__(self, kind: _Optional[_Union[SubjectKind, str]] = ..., service_name: _Optional[str] = ..., service_namespace: _Optional[str] = ..., environment: _Optional[str] = ..., team: _Optional[str] = ..., tenant: _Optional[str] = ..., k8s_cluster: _Optional[str] = ..., k8s_node: _Optional[str] = ..., k8s_namespace: _Optional[str] = ..., k8s_workload_kind: _Optional[str] = ..., k8s_workload: _Optional[str] = ..., k8s_pod_uid: _Optional[str] = ..., k8s_pod: _Optional[str] = ..., k8s_container: _Optional[str] = ..., operation: _Optional[str] = ..., trace_id: _Optional[bytes] = ..., span_id: _Optional[bytes] = ..., labels: _Optional[_Mapping[str, str]] = ..., resource_id: _Optional[str] = ..., resource_name: _Optional[str] = ...) -> None: ...

class AllocationElement(_message.Message):
    __slots__ = ("ratio", "usage_unit", "usage_quantity")
    RATIO_FIELD_NUMBER: _ClassVar[int]
    USAGE_UNIT_FIELD_NUMBER: _ClassVar[int]
    USAGE_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    ratio: str
    usage_unit: str
    usage_quantity: str
    def __init__(self, ratio: _Optional[str] = ..., usage_unit: _Optional[str] = ..., usage_quantity: _Optional[str] = ...) -> None: ...

class CostAttributionRecord(_message.Message):
    __slots__ = ("record_id", "origin_id", "parent_record_id", "level", "revision", "corrects_record_id", "charge_period_start_unix_nano", "charge_period_end_unix_nano", "billing_period_start_unix_nano", "billing_period_end_unix_nano", "charge_category", "charge_class", "charge_description", "charge_frequency", "billing_currency", "billed_cost", "effective_cost", "list_cost", "contracted_cost", "pricing_quantity", "consumed_quantity", "commitment_discount_quantity", "pricing_currency_effective_cost", "list_unit_price", "contracted_unit_price", "pricing_unit", "pricing_category", "consumed_unit", "commitment_discount_unit", "pricing_currency", "pricing_currency_list_unit_price", "pricing_currency_contracted_unit_price", "service_provider_name", "host_provider_name", "invoice_issuer_name", "invoice_id", "billing_account_id", "sub_account_id", "region_id", "availability_zone", "service_category", "service_subcategory", "service_name", "resource_id", "resource_name", "resource_type", "sku_id", "sku_meter", "sku_price_id", "sku_price_details", "tags", "columns", "subject", "allocated_method_id", "allocated_elements", "rule_id", "rule_version", "source", "recorded_unix_nano")
    class SkuPriceDetailsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ColumnsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CORRECTS_RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    CHARGE_PERIOD_START_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    CHARGE_PERIOD_END_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    BILLING_PERIOD_START_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    BILLING_PERIOD_END_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    CHARGE_CATEGORY_FIELD_NUMBER: _ClassVar[int]
    CHARGE_CLASS_FIELD_NUMBER: _ClassVar[int]
    CHARGE_DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CHARGE_FREQUENCY_FIELD_NUMBER: _ClassVar[int]
    BILLING_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    BILLED_COST_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_COST_FIELD_NUMBER: _ClassVar[int]
    LIST_COST_FIELD_NUMBER: _ClassVar[int]
    CONTRACTED_COST_FIELD_NUMBER: _ClassVar[int]
    PRICING_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_DISCOUNT_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    PRICING_CURRENCY_EFFECTIVE_COST_FIELD_NUMBER: _ClassVar[int]
    LIST_UNIT_PRICE_FIELD_NUMBER: _ClassVar[int]
    CONTRACTED_UNIT_PRICE_FIELD_NUMBER: _ClassVar[int]
    PRICING_UNIT_FIELD_NUMBER: _ClassVar[int]
    PRICING_CATEGORY_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_UNIT_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_DISCOUNT_UNIT_FIELD_NUMBER: _ClassVar[int]
    PRICING_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    PRICING_CURRENCY_LIST_UNIT_PRICE_FIELD_NUMBER: _ClassVar[int]
    PRICING_CURRENCY_CONTRACTED_UNIT_PRICE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    HOST_PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    INVOICE_ISSUER_NAME_FIELD_NUMBER: _ClassVar[int]
    INVOICE_ID_FIELD_NUMBER: _ClassVar[int]
    BILLING_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    SUB_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REGION_ID_FIELD_NUMBER: _ClassVar[int]
    AVAILABILITY_ZONE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_CATEGORY_FIELD_NUMBER: _ClassVar[int]
    SERVICE_SUBCATEGORY_FIELD_NUMBER: _ClassVar[int]
    SERVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_NAME_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    SKU_ID_FIELD_NUMBER: _ClassVar[int]
    SKU_METER_FIELD_NUMBER: _ClassVar[int]
    SKU_PRICE_ID_FIELD_NUMBER: _ClassVar[int]
    SKU_PRICE_DETAILS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ALLOCATED_METHOD_ID_FIELD_NUMBER: _ClassVar[int]
    ALLOCATED_ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    RECORDED_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    record_id: bytes
    origin_id: bytes
    parent_record_id: bytes
    level: Level
    revision: int
    corrects_record_id: bytes
    charge_period_start_unix_nano: int
    charge_period_end_unix_nano: int
    billing_period_start_unix_nano: int
    billing_period_end_unix_nano: int
    charge_category: ChargeCategory
    charge_class: ChargeClass
    charge_description: str
    charge_frequency: str
    billing_currency: str
    billed_cost: str
    effective_cost: str
    list_cost: str
    contracted_cost: str
    pricing_quantity: str
    consumed_quantity: str
    commitment_discount_quantity: str
    pricing_currency_effective_cost: str
    list_unit_price: str
    contracted_unit_price: str
    pricing_unit: str
    pricing_category: str
    consumed_unit: str
    commitment_discount_unit: str
    pricing_currency: str
    pricing_currency_list_unit_price: str
    pricing_currency_contracted_unit_price: str
    service_provider_name: str
    host_provider_name: str
    invoice_issuer_name: str
    invoice_id: str
    billing_account_id: str
    sub_account_id: str
    region_id: str
    availability_zone: str
    service_category: str
    service_subcategory: str
    service_name: str
    resource_id: str
    resource_name: str
    resource_type: str
    sku_id: str
    sku_meter: str
    sku_price_id: str
    sku_price_details: _containers.ScalarMap[str, str]
    tags: _containers.ScalarMap[str, str]
    columns: _containers.ScalarMap[str, str]
    subject: Subject
    allocated_method_id: str
    allocated_elements: _containers.RepeatedCompositeFieldContainer[AllocationElement]
    rule_id: str
    rule_version: int
    source: CostSource
    recorded_unix_nano: int
    def __init__(self, record_id: _Optional[bytes] = ..., origin_id: _Optional[bytes] = ..., parent_record_id: _Optional[bytes] = ..., level: _Optional[_Union[Level, str]] = ..., revision: _Optional[int] = ..., corrects_record_id: _Optional[bytes] = ..., charge_period_start_unix_nano: _Optional[int] = ..., charge_period_end_unix_nano: _Optional[int] = ..., billing_period_start_unix_nano: _Optional[int] = ..., billing_period_end_unix_nano: _Optional[int] = ..., charge_category: _Optional[_Union[ChargeCategory, str]] = ..., charge_class: _Optional[_Union[ChargeClass, str]] = ..., charge_description: _Optional[str] = ..., charge_frequency: _Optional[str] = ..., billing_currency: _Optional[str] = ..., billed_cost: _Optional[str] = ..., effective_cost: _Optional[str] = ..., list_cost: _Optional[str] = ..., contracted_cost: _Optional[str] = ..., pricing_quantity: _Optional[str] = ..., consumed_quantity: _Optional[str] = ..., commitment_discount_quantity: _Optional[str] = ..., pricing_currency_effective_cost: _Optional[str] = ..., list_unit_price: _Optional[str] = ..., contracted_unit_price: _Optional[str] = ..., pricing_unit: _Optional[str] = ..., pricing_category: _Optional[str] = ..., consumed_unit: _Optional[str] = ..., commitment_discount_unit: _Optional[str] = ..., pricing_currency: _Optional[str] = ..., pricing_currency_list_unit_price: _Optional[str] = ..., pricing_currency_contracted_unit_price: _Optional[str] = ..., service_provider_name: _Optional[str] = ..., host_provider_name: _Optional[str] = ..., invoice_issuer_name: _Optional[str] = ..., invoice_id: _Optional[str] = ..., billing_account_id: _Optional[str] = ..., sub_account_id: _Optional[str] = ..., region_id: _Optional[str] = ..., availability_zone: _Optional[str] = ..., service_category: _Optional[str] = ..., service_subcategory: _Optional[str] = ..., service_name: _Optional[str] = ..., resource_id: _Optional[str] = ..., resource_name: _Optional[str] = ..., resource_type: _Optional[str] = ..., sku_id: _Optional[str] = ..., sku_meter: _Optional[str] = ..., sku_price_id: _Optional[str] = ..., sku_price_details: _Optional[_Mapping[str, str]] = ..., tags: _Optional[_Mapping[str, str]] = ..., columns: _Optional[_Mapping[str, str]] = ..., subject: _Optional[_Union[Subject, _Mapping]] = ..., allocated_method_id: _Optional[str] = ..., allocated_elements: _Optional[_Iterable[_Union[AllocationElement, _Mapping]]] = ..., rule_id: _Optional[str] = ..., rule_version: _Optional[int] = ..., source: _Optional[_Union[CostSource, str]] = ..., recorded_unix_nano: _Optional[int] = ...) -> None: ...
