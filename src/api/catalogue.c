/* catalogue.c - what is built in: methods with their parameters, and libraries. */
#include "api/api.h"

#include "render/colormap.h"
#include <string.h>

size_t oxp_method_count(void)
{
    return oxp_methods_count();
}

const oxp_method_info *oxp_method_get(size_t index)
{
    return index < oxp_methods_count() ? &oxp_methods_at(index)->info : NULL;
}

const oxp_param_info *oxp_method_param(size_t method, size_t index)
{
    if (method >= oxp_methods_count() || index >= oxp_methods_at(method)->info.param_count)
        return NULL;
    return &oxp_methods_at(method)->params[index];
}

const oxp_method_family *oxp_method_family_of(size_t method)
{
    return method < oxp_methods_count() ? oxp_methods_family(method) : NULL;
}

int oxp_method_find(const char *name)
{
    for (size_t i = 0; name && i < oxp_methods_count(); i++)
        if (strcmp(oxp_methods_at(i)->info.name, name) == 0) return (int)i;
    return -1;
}

/* ---- libraries ---- */

const char *oxp_build_info(void)
{
    static const char text[] = OXP_BUILD_INFO;
    return text;
}

const char *oxp_colormaps(void)
{
    return oxp_colormap_list();
}
