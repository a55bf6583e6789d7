// typefacts prints what the published OpenAPI documents leave out of the Go types
// behind Kubernetes' API: which fields are pointers, which are left out when empty,
// and their protobuf numbers. One JSON object: OpenAPI definition name -> JSON field ->
// "[!|?]TYPE[#NUMBER]"; a leading "!" marks a field that is printed even when it is empty, "?"
// one that is left out when it is zero (omitzero). A number like 2.5 is field 5 of the message
// in field 2, whose JSON fields are inlined. "[=]" is a list with a message of its own.
package main

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

var facts = map[string]map[string]string{}

// leaves are the types with a JSON form of their own.
var leaves = map[string]string{
	"io.k8s.apimachinery.pkg.apis.meta.v1.Time":                               "time",
	"io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime":                          "microtime",
	"io.k8s.apimachinery.pkg.apis.meta.v1.Duration":                           "duration",
	"io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1":                           "raw",
	"io.k8s.apimachinery.pkg.api.resource.Quantity":                           "quantity",
	"io.k8s.apimachinery.pkg.util.intstr.IntOrString":                         "intorstring",
	"io.k8s.apimachinery.pkg.runtime.RawExtension":                            "raw",
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON":           "raw",
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "schemaorbool",
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "schemaorarray",
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "schemaorstrings",
}

func name(t reflect.Type) string {
	p := strings.Split(t.PkgPath(), "/")
	host := strings.Split(p[0], ".")
	for i, j := 0, len(host)-1; i < j; i, j = i+1, j-1 {
		host[i], host[j] = host[j], host[i]
	}
	return strings.Join(append(host, append(p[1:], t.Name())...), ".")
}

func describe(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return "*" + describe(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		if _, message := reflect.New(t).Interface().(interface{ Marshal() ([]byte, error) }); message {
			// A named list with a protobuf message of its own: {repeated items = 1}.
			return "[=]" + describe(t.Elem())
		}
		return "[]" + describe(t.Elem())
	case reflect.Map:
		return "map:" + describe(t.Elem())
	case reflect.Struct:
		n := name(t)
		if leaf, ok := leaves[n]; ok {
			visit(t, n, leaf)
			return leaf
		}
		visit(t, n, "")
		return n
	case reflect.Interface:
		return "raw"
	default:
		return t.Kind().String()
	}
}

func visit(t reflect.Type, n string, leaf string) {
	if leaf != "" && !strings.HasPrefix(leaf, "schema") {
		return
	}
	if leaf != "" {
		for i := 0; i < t.NumField(); i++ {
			describe(t.Field(i).Type)
		}
		return
	}
	if _, done := facts[n]; done {
		return
	}
	fields := map[string]string{}
	facts[n] = fields
	add(t, fields, "")
}

// add describes the fields of t. An inlined struct's fields stand beside the others in JSON,
// but in a message of their own in protobuf: their numbers carry its number in front.
func add(t reflect.Type, fields map[string]string, outer string) {
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		tag := strings.Split(f.Tag.Get("json"), ",")
		options := strings.Join(tag[1:], ",")
		if tag[0] == "-" {
			continue
		}
		if tag[0] == "" {
			if f.Anonymous || strings.Contains(options, "inline") {
				add(f.Type, fields, inner(f, outer))
			}
			continue
		}
		text := ""
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			text = "!"
		} else if strings.Contains(options, "omitzero") {
			text = "?"
		}
		text += describe(f.Type)
		if number := number(f); number != "" && outer != unnumbered {
			text += "#" + outer + number
		}
		fields[tag[0]] = text
	}
}

// unnumbered marks an inlined struct that is no part of the protobuf message: TypeMeta.
const unnumbered = "-"

func inner(f reflect.StructField, outer string) string {
	if number := number(f); number != "" && outer != unnumbered {
		return outer + number + "."
	}
	return unnumbered
}

func number(f reflect.StructField) string {
	if parts := strings.Split(f.Tag.Get("protobuf"), ","); len(parts) > 1 {
		return parts[1]
	}
	return ""
}

func main() {
	scheme := runtime.NewScheme()
	for _, register := range []func(*runtime.Scheme) error{
		admissionv1.AddToScheme, admissionregistrationv1.AddToScheme, appsv1.AddToScheme, authenticationv1.AddToScheme,
		authorizationv1.AddToScheme, autoscalingv1.AddToScheme, autoscalingv2.AddToScheme, batchv1.AddToScheme,
		certificatesv1.AddToScheme, coordinationv1.AddToScheme, corev1.AddToScheme, discoveryv1.AddToScheme,
		eventsv1.AddToScheme, flowcontrolv1.AddToScheme, networkingv1.AddToScheme, nodev1.AddToScheme, policyv1.AddToScheme,
		rbacv1.AddToScheme, resourcev1.AddToScheme, schedulingv1.AddToScheme, storagev1.AddToScheme,
		apiextensionsv1.AddToScheme, apiregistrationv1.AddToScheme,
	} {
		if err := register(scheme); err != nil {
			panic(err)
		}
	}
	for _, t := range scheme.AllKnownTypes() {
		describe(t)
	}
	describe(reflect.TypeOf(metav1.Status{}))
	delete(facts, "")
	for n := range facts {
		if strings.Contains(n, "internalversion") {
			delete(facts, n)
		}
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	if err := out.Encode(facts); err != nil {
		panic(err)
	}
}
